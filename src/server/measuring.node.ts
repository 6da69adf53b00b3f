/** Training dynamics for clients: one measurement at a time, in a process of its own that ends with its client and its server. */
import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { z } from "zod";
import type { DynamicsReport } from "../evaluate/dynamics/measure.ts";
import { packageRoot } from "../models.node.ts";
import type { DeviceOptions } from "../runtime/device.node.ts";
import { NextxError } from "../tensor/errors.ts";
import { BusyError } from "./errors.ts";
import { stepBack } from "./niceness.node.ts";

export interface MeasureRequest {
  /** What `load` takes, with the id that clients know it by. */
  readonly models: readonly { readonly id: string; readonly name: string }[];
  readonly count: number;
  readonly seed: number;
}

export type MeasureEvent =
  | { readonly kind: "progress"; readonly text: string }
  | { readonly kind: "measured"; readonly reports: readonly DynamicsReport[] };

const answerSchema = z.union([
  z.object({ models: z.array(z.custom<DynamicsReport>()) }), // written by our own command
  z.object({
    error: z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }),
  }),
]);

export class Measuring implements Disposable {
  readonly #device: Required<DeviceOptions>;
  #child: ChildProcess | undefined;

  constructor(device: Required<DeviceOptions>) {
    this.#device = device;
  }

  /** @throws NextxError MEASURE_BUSY while another measurement runs */
  requireIdle(): void {
    if (this.#child)
      throw new BusyError("MEASURE_BUSY", "Another measurement runs.", 60, "Ask again in a minute.");
  }

  /** Errors: MEASURE_BUSY, MEASURE_FAILED, ABORTED, and those of `nextx dynamics`. */
  async *dynamics(
    { models, count, seed }: MeasureRequest,
    signal: AbortSignal,
  ): AsyncGenerator<MeasureEvent> {
    this.requireIdle();
    const { device, threads } = this.#device;
    const where = ["--device", device, "--threads", `${threads}`];
    const flags = ["--count", `${count}`, "--seed", `${seed}`, ...where, "--json"];
    const names = models.map(({ name }) => name);
    const command = [join(packageRoot(), "bin/nextx.js"), "dynamics", ...names, ...flags];
    // nothing is said over the channel: the command ends when it closes
    const started = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "pipe", "ipc"] });
    const child = started as ChildProcessByStdio<null, Readable, Readable>; // two pipes
    if (child.pid !== undefined) stepBack(child.pid);
    this.#child = child;
    const kill = () => child.kill("SIGKILL");
    signal.addEventListener("abort", kill, { once: true });
    let answer = "";
    child.stdout.on("data", (data) => {
      answer += data;
    });
    const closed = new Promise((resolve) => child.on("close", resolve));
    child.on("error", () => child.stderr.destroy()); // it could not be started: there is no answer
    try {
      for await (const text of createInterface(child.stderr))
        yield { kind: "progress", text: withIds(text, models) };
      await closed;
      if (signal.aborted) throw new NextxError("ABORTED", "The work was cancelled.");
      yield { kind: "measured", reports: reportsOf(answer, models) };
    } finally {
      kill();
      signal.removeEventListener("abort", kill);
      this.#child = undefined;
    }
  }

  [Symbol.dispose](): void {
    this.#child?.kill("SIGKILL");
  }
}

/** Clients see ids, never paths. */
function withIds(text: string, models: MeasureRequest["models"]): string {
  return models.reduce((so, { id, name }) => so.replaceAll(name, id), text);
}

function reportsOf(answer: string, models: MeasureRequest["models"]): DynamicsReport[] {
  const parsed = answerSchema.safeParse(safeJson(answer));
  if (!parsed.success)
    throw new NextxError("MEASURE_FAILED", "The measuring process ended without an answer.");
  if ("error" in parsed.data) {
    const { code, message, hint } = parsed.data.error;
    throw new NextxError(code, withIds(message, models), hint === undefined ? {} : { hint });
  }
  return parsed.data.models.map((report, i) => ({
    ...report,
    model: { ...report.model, name: models[i]?.id ?? report.model.name },
  }));
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // it was killed, or crashed
  }
}
