/** What Prometheus may ask; names follow vLLM's where the meaning is the same. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { JobState } from "./protocol.ts";

const seconds = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

export class Metrics {
  readonly registry = new Registry();
  readonly crashes: Counter;
  readonly rejected: Counter<"code">;
  readonly queueTime: Histogram;
  readonly #ended: Counter<"state">;
  readonly #pictures: Counter;
  readonly #total: Histogram;
  readonly #rows: Histogram;

  constructor() {
    const registers = [this.registry];
    const make = (name: string, help: string) => ({ name: `nextx_${name}`, help, registers });
    this.crashes = new Counter(
      make("compute_crashes_total", "Batches lost because the computing process ended."),
    );
    this.rejected = new Counter({
      ...make("requests_rejected_total", "Requests that were not taken, by error code."),
      labelNames: ["code"],
    });
    this.queueTime = new Histogram({
      ...make("request_queue_time_seconds", "From arrival to the first step."),
      buckets: seconds,
    });
    this.#ended = new Counter({
      ...make("requests_total", "Requests that are over, by how they ended."),
      labelNames: ["state"],
    });
    this.#pictures = new Counter(make("pictures_total", "Finished pictures."));
    this.#total = new Histogram({
      ...make("e2e_request_latency_seconds", "From arrival to the last picture."),
      buckets: seconds,
    });
    this.#rows = new Histogram({
      ...make("rows_per_step", "Pictures in one model step."),
      buckets: [1, 2, 4, 8, 16, 32],
    });
  }

  /** Where the two gauges come from. */
  watch(read: () => { running: number; waiting: number }): void {
    const registers = [this.registry];
    for (const name of ["running", "waiting"] as const) {
      new Gauge({
        name: `nextx_num_requests_${name}`,
        help: `Requests that are ${name}.`,
        registers,
        collect() {
          this.set(read()[name]);
        },
      });
    }
  }

  step(rows: number): void {
    this.#rows.observe(rows);
  }

  end(state: JobState, pictures: number, totalSeconds: number): void {
    this.#ended.inc({ state });
    if (state !== "finished") return;
    this.#pictures.inc(pictures);
    this.#total.observe(totalSeconds);
  }
}
