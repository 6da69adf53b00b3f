/** The server without HTTP: takes requests, keeps jobs, tells metrics. */
import { createHash, randomBytes } from "node:crypto";
import { NextxError } from "../tensor/errors.ts";
import type { Catalogue } from "./catalogue.node.ts";
import type { Compute, PartResult } from "./compute/messages.ts";
import { errorBody, toNextxError } from "./errors.ts";
import { Job } from "./job.ts";
import type { JobStore, StoredState } from "./jobStore.node.ts";
import type { Metrics } from "./metrics.ts";
import { planRequest } from "./planRequest.ts";
import type { GenerateRequest, JobInfo, ListedJob } from "./protocol.ts";
import { Scheduler, type SchedulerOptions } from "./scheduler.ts";

export interface ServiceParts {
  readonly catalogue: Catalogue;
  readonly compute: Compute & { readonly isLost: boolean };
  readonly store: JobStore;
  readonly metrics: Metrics;
  readonly limits: SchedulerOptions;
}

/** Jobs that are over, the newest of which stay. */
const keptJobs = 1000;
/** So many more are let come before the oldest go. */
const spareJobs = 100;
const maxCrashes = 2;

const newId = (): string => `${Date.now().toString(36)}-${randomBytes(6).toString("hex")}`;

export class Service {
  readonly catalogue: Catalogue;
  readonly metrics: Metrics;
  readonly store: JobStore;
  readonly #compute: ServiceParts["compute"];
  readonly #scheduler: Scheduler;
  /** Stored jobs that are not over. */
  readonly #stored = new Map<string, Job>();
  /** How jobs ended whose state could not be written, as when the disk is full. */
  readonly #unwritten = new Map<string, StoredState>();
  /** Stored jobs that are over. */
  #over = 0;
  #isPruning = false;
  /** What is being written of a stored job; the next waits for it. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor({ catalogue, compute, store, metrics, limits }: ServiceParts) {
    this.catalogue = catalogue;
    this.metrics = metrics;
    this.store = store;
    this.#compute = compute;
    this.#scheduler = new Scheduler(compute, limits, {
      onStart: (job) => this.#onStart(job),
      onEnd: (job, result) => this.#onEnd(job, result),
      onStep: (rows) => metrics.step(rows),
      onCrash: () => metrics.crashes.inc(),
    });
    metrics.watch(() => ({ running: this.#scheduler.running, waiting: this.#scheduler.waiting }));
  }

  /** Why new work is not taken; undefined when it is. */
  get unready(): string | undefined {
    if (this.#compute.isLost) return "device lost";
    if (this.#scheduler.isStopped) return "stopping";
    return this.#scheduler.isFull ? "queue full" : undefined;
  }

  get retryAfterSeconds(): number {
    return this.#scheduler.retryAfterSeconds;
  }

  /** @throws NextxError QUEUE_FULL, SERVER_STOPPING, counted as a refusal */
  requireRoom(): void {
    this.#refusing(() => this.#scheduler.requireRoom(0));
  }

  /** A request whose client waits for it. @throws NextxError QUEUE_FULL and those of planRequest */
  submit(request: GenerateRequest): Job {
    const job = new Job(newId(), this.#admit(request));
    this.#scheduler.add(job);
    return job;
  }

  /** A request that outlives its client. The same key gives the same job. @throws as submit; FILE_ codes; JOB_OTHER_REQUEST */
  async enqueue(request: GenerateRequest, key?: string): Promise<JobInfo> {
    if (key === undefined) return this.#accept(newId(), request, (id) => this.store.create(id, request));
    const own = `key-${createHash("sha256").update(key).digest("hex").slice(0, 32)}`;
    return this.#inTurn(own, async () => {
      const known = await this.read(own).catch(() => undefined);
      if (known && JSON.stringify(known.request) !== JSON.stringify(request))
        throw new NextxError("JOB_OTHER_REQUEST", "This Idempotency-Key belongs to another request.");
      return known ?? (await this.#accept(own, request, (id) => this.store.create(id, request)));
    });
  }

  /** Queues a job once it is written; its place in the queue is taken before. */
  async #accept(
    id: string,
    request: GenerateRequest,
    write: (id: string) => Promise<void>,
  ): Promise<JobInfo> {
    const job = new Job(id, this.#admit(request));
    this.#scheduler.hold(job);
    this.#stored.set(id, job);
    try {
      await write(id);
    } catch (error) {
      this.#scheduler.release(job);
      this.#stored.delete(id);
      throw error;
    }
    this.#unwritten.delete(id);
    this.#scheduler.add(job);
    return { id, state: "queued", crashes: 0, request };
  }

  /** One after the other for the same job, so that the newest state is the one that stays. */
  #inTurn<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(id) ?? Promise.resolve();
    const turn = before.catch(() => undefined).then(work); // its caller got the error
    this.#turns.set(id, turn);
    const forget = () => {
      if (this.#turns.get(id) === turn) this.#turns.delete(id);
    };
    turn.then(forget, forget);
    return turn;
  }

  /** A job that is not over, to follow its events. */
  active(id: string): Job | undefined {
    return this.#stored.get(id);
  }

  async cancel(job: Job): Promise<void> {
    await this.#scheduler.cancel(job);
  }

  /** A stored job as it stands. @throws NextxError JOB_NOT_FOUND */
  async read(id: string): Promise<JobInfo> {
    return { ...(await this.store.read(id)), ...this.#unwritten.get(id) };
  }

  /** Stored jobs without pictures to edit, the newest last: at most `limit`, those before `before` when it is given. */
  async list(limit: number, before?: string): Promise<ListedJob[]> {
    const ids = await this.store.ids();
    const end = before === undefined ? ids.length : Math.max(0, ids.indexOf(before));
    const all: ListedJob[] = [];
    for (const id of ids.slice(Math.max(0, end - limit), end)) {
      const job = await this.read(id).catch(() => undefined); // gone meanwhile, or unreadable
      if (job) all.push(withoutPicture(job));
    }
    return all;
  }

  /** Cancels a job, or forgets one that is over. @throws NextxError JOB_NOT_FOUND, FILE_ codes */
  async remove(id: string): Promise<void> {
    const active = this.active(id);
    if (active && !active.isOver) return this.#scheduler.cancel(active);
    await this.#inTurn(id, async () => {
      this.store.requireThere(id);
      await this.store.remove(id);
      this.#unwritten.delete(id);
    });
  }

  /** Takes up what was left by a server before, after a kill too. */
  async recover(): Promise<void> {
    for (const id of await this.store.ids()) {
      if (isOver(await this.store.state(id))) {
        this.#over++;
        continue;
      }
      const job = await this.store.read(id).catch(() => undefined);
      if (job === undefined) continue; // unreadable: left alone
      const { state, crashes: before, request } = job;
      const crashes = before + (state === "running" ? 1 : 0);
      try {
        if (crashes >= maxCrashes)
          throw new NextxError("COMPUTE_CRASHED", "The job ended with its process twice.");
        const taken = new Job(id, planRequest(this.catalogue, request), crashes);
        this.#stored.set(id, taken);
        await this.store.setState(id, { state: "queued", crashes });
        this.#scheduler.add(taken);
      } catch (error) {
        const failed =
          error instanceof NextxError ? error : new NextxError("INTERNAL", "It cannot be planned.");
        const parked = crashes >= maxCrashes;
        await this.store.setState(id, { state: parked ? "parked" : "failed", crashes, ...errorBody(failed) });
        this.#over++;
      }
    }
    await this.#prune(0);
  }

  /** Removes the oldest jobs that are over when there are too many. */
  async #prune(spare: number): Promise<void> {
    if (this.#isPruning || this.#over <= keptJobs + spare) return;
    this.#isPruning = true;
    try {
      const over: string[] = [];
      for (const id of await this.store.ids())
        if (!this.#stored.has(id) && isOver(await this.store.state(id))) over.push(id);
      for (const id of over.slice(0, Math.max(0, over.length - keptJobs)))
        await this.#inTurn(id, async () => {
          if (!this.#stored.has(id)) await this.store.remove(id); // nobody retried it meanwhile
        });
      this.#over = Math.min(over.length, keptJobs);
    } finally {
      this.#isPruning = false;
    }
  }

  /** Queues a job that was parked, failed or cancelled again. @throws NextxError JOB_NOT_RETRYABLE, QUEUE_FULL */
  async retry(id: string): Promise<JobInfo> {
    return this.#inTurn(id, async () => {
      const { state, request } = await this.read(id);
      if (state === "finished" || state === "queued" || state === "running")
        throw new NextxError("JOB_NOT_RETRYABLE", `The job is ${state}.`, { path: "id" });
      await this.catalogue.look(request.model);
      return this.#accept(id, request, () => this.store.setState(id, { state: "queued", crashes: 0 }));
    });
  }

  /** Ends what runs. Stored jobs go on with the next server; clients that wait hear that this one stops. */
  async stop(): Promise<void> {
    for (const job of this.#scheduler.stop()) {
      if (!this.#stored.has(job.id)) {
        await this.#scheduler.refuse(job, new NextxError("SERVER_STOPPING", "The server is stopping."));
      } else if (job.state === "running" || job.isAlone) {
        const queued = { state: "queued" as const, crashes: job.crashes };
        await this.#inTurn(job.id, () => this.store.setState(job.id, queued)).catch(() => undefined); // then it counts a crash
      }
    }
  }

  #admit(request: GenerateRequest) {
    if (this.#compute.isLost) throw new NextxError("DEVICE_LOST", "The computing process does not start.");
    return this.#refusing(() => {
      this.#scheduler.requireRoom(0); // before anything is decoded
      const plan = planRequest(this.catalogue, request);
      this.#scheduler.requireRoom(plan.cost);
      return plan;
    });
  }

  #refusing<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.metrics.rejected.inc({ code: error instanceof NextxError ? error.code : "INTERNAL" });
      throw error;
    }
  }

  async #onStart(job: Job): Promise<void> {
    this.metrics.queueTime.observe((performance.now() - job.createdMs) / 1000);
    if (!this.#stored.has(job.id)) return;
    const running = { state: "running" as const, crashes: job.crashes };
    await this.#inTurn(job.id, () => this.store.setState(job.id, running)).catch(() => undefined); // then a kill counts no crash
  }

  async #onEnd(job: Job, result: PartResult | undefined): Promise<void> {
    let { state } = job;
    try {
      if (this.#stored.has(job.id)) await this.#inTurn(job.id, () => this.#keep(job, result));
    } catch (error) {
      state = "failed";
      throw error;
    } finally {
      this.metrics.end(state, job.plan.part.labels.length, (performance.now() - job.createdMs) / 1000);
    }
    void this.#prune(spareJobs).catch(() => undefined); // the next one tries again
  }

  /** Writes how a job ended. Throws when its pictures cannot be kept: then it failed. */
  async #keep(job: Job, result: PartResult | undefined): Promise<void> {
    const { id, state, crashes, error } = job;
    const write = (ended: StoredState) =>
      this.store.setState(id, ended).catch(() => void this.#unwritten.set(id, ended));
    try {
      if (result) await this.store.finish(id, result); // from here on it is finished, whatever its state says
      await write({ state, crashes, ...(error && errorBody(error)) });
    } catch (cause) {
      await write({ state: "failed", crashes, ...errorBody(toNextxError(cause)) });
      throw cause;
    } finally {
      this.#stored.delete(id);
      this.#over++;
    }
  }
}

function withoutPicture({ request: { edit, ...request }, ...job }: JobInfo): ListedJob {
  return {
    ...job,
    request: { ...request, ...(edit && { edit: { ...(edit.box && { box: edit.box }), where: edit.where } }) },
  };
}

const isOver = ({ state }: Pick<StoredState, "state">): boolean => state !== "queued" && state !== "running";
