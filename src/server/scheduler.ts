/**
 * The queue before one device: bounded in requests and in cost, first come first served, and waiting requests that can
 * share a batch start together. A job whose process crashed, or whose batch failed, is tried once more, alone; after the
 * second crash it is parked.
 */
import { NextxError } from "../tensor/errors.ts";
import type { BatchResult, BatchStep, Compute, PartResult } from "./compute/messages.ts";
import { errorBody, toNextxError } from "./errors.ts";
import type { Job } from "./job.ts";
import type { JobState, ServerEvent } from "./protocol.ts";

export interface SchedulerOptions {
  /** Most waiting requests. */
  readonly maxWaiting: number;
  /** Most tokens of all waiting requests. */
  readonly maxWaitingTokens: number;
  /** Most bytes of pictures to edit that wait. */
  readonly maxWaitingBytes: number;
  /** Most pictures of a batch. */
  readonly maxRows: number;
}

/** What is told to metrics and the job store. */
export interface SchedulerHooks {
  /** Before an attempt; the attempt waits for it. */
  onStart(job: Job): Promise<void> | void;
  /** With the result before anyone hears of it, and without one after failures. */
  onEnd(job: Job, result: PartResult | undefined): Promise<void> | void;
  onStep(rows: number): void;
  onCrash(): void;
}

interface Running {
  readonly jobs: readonly Job[];
  readonly controller: AbortController;
}

const maxCrashes = 2;
/** Guess before anything was measured. */
const firstTokensPerMs = 1;

export class Scheduler {
  readonly #compute: Compute;
  readonly #options: SchedulerOptions;
  readonly #hooks: SchedulerHooks;
  readonly #waiting: Job[] = [];
  /** Jobs that have a place in the queue and are not ready for it. */
  readonly #held = new Set<Job>();
  #running: Running | undefined;
  #tokensPerMs = firstTokensPerMs;
  #stopped = false;

  constructor(compute: Compute, options: SchedulerOptions, hooks: SchedulerHooks) {
    this.#compute = compute;
    this.#options = options;
    this.#hooks = hooks;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get running(): number {
    return this.#running?.jobs.filter(({ isOver }) => !isOver).length ?? 0;
  }

  /** Whether a bound is reached: of requests, of their tokens, of their bytes. */
  get isFull(): boolean {
    const { maxWaiting, maxWaitingTokens, maxWaitingBytes } = this.#options;
    return (
      this.#waiting.length + this.#held.size >= maxWaiting ||
      this.#waitingSum("cost") >= maxWaitingTokens ||
      this.#waitingSum("bytes") >= maxWaitingBytes
    );
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Seconds after which there should be room. */
  get retryAfterSeconds(): number {
    const tokens =
      this.#waitingSum("cost") + (this.#running?.jobs ?? []).reduce((sum, job) => sum + job.plan.cost, 0);
    return Math.min(600, Math.max(1, Math.ceil(tokens / this.#tokensPerMs / 1000)));
  }

  /** @throws NextxError QUEUE_FULL, SERVER_STOPPING: nothing was taken */
  requireRoom(cost: number): void {
    if (this.#stopped) throw new NextxError("SERVER_STOPPING", "The server is stopping.");
    const tokens = this.#waitingSum("cost") + cost;
    if (!this.isFull && (tokens <= this.#options.maxWaitingTokens || tokens === cost)) return;
    throw new NextxError("QUEUE_FULL", "The queue is full.", {
      hint: `Try again in ${this.retryAfterSeconds} s.`,
    });
  }

  /** Keeps a place for a job that `add` or `release` follows. */
  hold(job: Job): void {
    this.#held.add(job);
  }

  release(job: Job): void {
    this.#held.delete(job);
  }

  /** Takes a job; asks nobody whether there is room. */
  add(job: Job): void {
    this.#held.delete(job);
    const waiting = this.#waiting.length + this.running;
    this.#waiting.push(job);
    job.emit({ kind: "accepted", id: job.id, waiting, recipe: job.plan.recipe });
    queueMicrotask(() => this.#next());
  }

  /** Stops a job between model steps; the steps of a shared batch go on for the others. */
  async cancel(job: Job): Promise<void> {
    if (job.isOver) return;
    const at = this.#waiting.indexOf(job);
    if (at >= 0) this.#waiting.splice(at, 1);
    job.state = "cancelled";
    const running = this.#running;
    if (running?.jobs.includes(job) && running.jobs.every(({ isOver }) => isOver)) running.controller.abort();
    await this.#close(job, "cancelled", { kind: "cancelled" });
  }

  /** Fails a job that did not finish. */
  async refuse(job: Job, error: NextxError): Promise<void> {
    if (job.isOver) return;
    job.error = error;
    await this.#close(job, "failed", { kind: "failed", ...errorBody(error) });
  }

  /** Takes nothing more, ends what runs; returns jobs that did not finish. */
  stop(): readonly Job[] {
    this.#stopped = true;
    this.#running?.controller.abort();
    return [...(this.#running?.jobs ?? []), ...this.#waiting.splice(0)].filter(({ isOver }) => !isOver);
  }

  #waitingSum(of: "cost" | "bytes"): number {
    return [...this.#waiting, ...this.#held].reduce((sum, { plan }) => sum + plan[of], 0);
  }

  /** The oldest job and those behind it that can share its batch. */
  #takeBatch(): Job[] {
    const first = this.#waiting.shift();
    if (first === undefined) return [];
    const jobs = [first];
    let rows = first.plan.part.labels.length;
    if (first.isAlone) return jobs;
    for (let i = 0; i < this.#waiting.length; ) {
      const job = this.#waiting[i] as Job; // in range
      const more = job.plan.part.labels.length;
      if (job.plan.key === first.plan.key && !job.isAlone && rows + more <= this.#options.maxRows) {
        jobs.push(job);
        rows += more;
        this.#waiting.splice(i, 1);
      } else i++;
    }
    return jobs;
  }

  #next(): void {
    if (this.#running || this.#stopped) return;
    const jobs = this.#takeBatch();
    if (jobs.length === 0) return;
    this.#running = { jobs, controller: new AbortController() };
    void this.#run(this.#running).finally(() => {
      this.#running = undefined;
      this.#next();
    });
  }

  async #run({ jobs, controller }: Running): Promise<void> {
    const rows = jobs.reduce((sum, job) => sum + job.plan.part.labels.length, 0);
    const startMs = performance.now();
    try {
      for (const job of jobs) {
        if (this.#stopped) return; // the next server begins them
        if (job.isOver) continue;
        job.state = "running";
        try {
          await this.#hooks.onStart(job);
          if (!job.isOver) job.emit({ kind: "started" });
        } catch (cause) {
          await this.refuse(job, toNextxError(cause)); // the others of the batch go on
        }
        await otherWork();
      }
      if (this.#stopped || jobs.every(({ isOver }) => isOver)) return;
      const onStep = ({ done, total, strips }: BatchStep) => {
        this.#hooks.onStep(rows);
        for (const [i, job] of jobs.entries()) {
          const strip = strips[i];
          if (strip && !job.isOver) job.emit({ kind: "preview", done, total, strip: base64(strip) });
        }
      };
      const { batch } = (jobs[0] as Job).plan; // not empty
      const result = await this.#compute.run(
        { ...batch, parts: jobs.map(({ plan }) => plan.part) },
        onStep,
        controller.signal,
      );
      this.#measure(jobs, performance.now() - startMs);
      await this.#finish(jobs, result, startMs);
    } catch (error) {
      await this.#fail(jobs, toNextxError(error));
    }
  }

  #measure(jobs: readonly Job[], ms: number): void {
    const rate = jobs.reduce((sum, job) => sum + job.plan.cost, 0) / Math.max(1, ms);
    this.#tokensPerMs = this.#tokensPerMs === firstTokensPerMs ? rate : 0.8 * this.#tokensPerMs + 0.2 * rate;
  }

  async #finish(jobs: readonly Job[], { parts, computedMs }: BatchResult, startMs: number): Promise<void> {
    for (const [i, job] of jobs.entries()) {
      const part = parts[i];
      if (job.isOver || part === undefined) continue;
      const event = {
        kind: "finished" as const,
        pictures: part.pictures.map(base64),
        grid: base64(part.grid),
        waitedMs: Math.round(startMs - job.createdMs),
        computedMs: Math.round(computedMs),
      };
      await this.#close(job, "finished", event, part);
      await otherWork();
    }
  }

  /** Ends a job; one whose result cannot be kept has failed, and its client hears why. */
  async #close(job: Job, state: JobState, event: ServerEvent, result?: PartResult): Promise<void> {
    job.state = state;
    try {
      await this.#hooks.onEnd(job, result);
      job.emit(event);
    } catch (cause) {
      job.error = toNextxError(cause);
      job.state = "failed";
      job.emit({ kind: "failed", ...errorBody(job.error) });
    }
  }

  async #fail(jobs: readonly Job[], error: NextxError): Promise<void> {
    const crashed = error.code === "COMPUTE_CRASHED";
    const isShared = jobs.length > 1 && error.code.startsWith("RUNTIME_"); // perhaps through the others: each alone, then
    if (crashed) this.#hooks.onCrash();
    const again: Job[] = [];
    for (const job of jobs) {
      if (job.isOver) continue;
      if (this.#stopped) continue; // goes back to where it was stored
      if (crashed) job.crashes++;
      if (isShared || (crashed && job.crashes < maxCrashes)) {
        job.restart();
        again.push(job);
        continue;
      }
      job.error = error;
      await this.#close(job, crashed ? "parked" : "failed", { kind: "failed", ...errorBody(error) });
    }
    this.#waiting.unshift(...again);
  }
}

/** Lets connections and health checks in between two jobs of a large batch. */
const otherWork = () => new Promise<void>((resolve) => setImmediate(resolve));

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
