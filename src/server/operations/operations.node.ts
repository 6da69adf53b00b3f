/**
 * Long work that outlives its client and the server: one piece at a time per lane, in the order of arrival. What ended with
 * its process goes on where its files stand; twice in a row without getting further, it is parked.
 */
import { randomBytes } from "node:crypto";
import { NextxError } from "../../tensor/errors.ts";
import { BusyError, errorBody, toNextxError } from "../errors.ts";
import type { OperationKind, OperationRequest, OperationState } from "../runProtocol.ts";
import type { Work, WorkEvent } from "./messages.ts";
import { Operation } from "./operation.ts";
import type { OperationStore } from "./operationStore.node.ts";
import type { Operators } from "./operatorProcess.node.ts";
import { WorkFailure } from "./working.ts";

export interface OperationsParts {
  readonly store: OperationStore;
  readonly operators: Operators;
  /** A stored request with its paths. @throws NextxError when it cannot be done any more */
  resolve(request: OperationRequest): Promise<Work>;
  /** Takes paths of this machine out of a text. */
  hide(text: string): string;
}

/** What shares a lane takes turns: training keeps all cores busy. */
const lanes: Readonly<Record<OperationKind, string>> = {
  ...{ train: "training", claim: "training" },
  ...{ convert: "files", quantize: "files", export: "files" },
};

const maxWaiting = 32;
/** Long work takes minutes at least: clients need not ask more often. */
const busySeconds = 60;
const maxCrashes = 2;
/** Work that is over, the newest of which stay known. */
const keptOperations = 2000;
/** A server that stops waits so long for checkpoints. */
const stopMs = 10_000;

interface Running {
  readonly operation: Operation;
  /** Undefined until its process has started. */
  work: ReturnType<Operators["work"]> | undefined;
}

interface Lane {
  readonly waiting: Operation[];
  /** Work that has a place and is not written yet. */
  held: number;
  running: Running | undefined;
}

const newId = (): string => `${Date.now().toString(36)}-${randomBytes(6).toString("hex")}`;

/** Whether work got further: a crash after this counts anew. */
const isProgress = ({ kind, ...event }: WorkEvent): boolean =>
  kind === "saved" || (kind === "arm" && "state" in event && event.state === "finished");

export class Operations {
  readonly #parts: OperationsParts;
  readonly #all = new Map<string, Operation>();
  readonly #lanes = new Map<string, Lane>();
  readonly #saves = new WeakMap<Operation, Promise<void>>();
  #isStopped = false;

  constructor(parts: OperationsParts) {
    this.#parts = parts;
  }

  /** All that is known, oldest first. */
  get all(): readonly Operation[] {
    return [...this.#all.values()];
  }

  /** @throws NextxError JOB_NOT_FOUND */
  get(id: string): Operation {
    const operation = this.#all.get(id);
    if (operation) return operation;
    throw new NextxError("JOB_NOT_FOUND", "There is no such operation.", { path: "id" });
  }

  /** The newest work that a test accepts. */
  find(test: (request: OperationRequest) => boolean): Operation | undefined {
    return [...this.#all.values()].reverse().find(({ request }) => test(request));
  }

  /** Takes work; when this returns it is accepted. @throws NextxError QUEUE_FULL, SERVER_STOPPING, FILE_ codes */
  async submit(request: OperationRequest): Promise<Operation> {
    this.#requireRoom(request.kind);
    const lane = this.#lane(request.kind);
    const operation = new Operation(newId(), request);
    lane.held++;
    try {
      await this.#parts.resolve(request);
      this.#all.set(operation.id, operation);
      await this.#parts.store.create(operation.id, request);
    } catch (error) {
      this.#all.delete(operation.id);
      throw error;
    } finally {
      lane.held--;
    }
    this.#enqueue(operation);
    return operation;
  }

  /** Queues work that stopped, failed or was parked again. @throws NextxError JOB_NOT_RETRYABLE, QUEUE_FULL, SERVER_STOPPING */
  async resume(operation: Operation): Promise<void> {
    if (!operation.isOver || operation.state === "finished")
      throw new NextxError("JOB_NOT_RETRYABLE", `It is ${operation.state}.`, { path: "id" });
    this.#requireRoom(operation.request.kind);
    [operation.crashes, operation.error] = [0, undefined];
    this.#enqueue(operation);
    await this.#save(operation);
  }

  /** Stops work between steps; it can go on later. */
  async stop(operation: Operation): Promise<void> {
    if (operation.isOver) return;
    const lane = this.#lane(operation.request.kind);
    const at = lane.waiting.indexOf(operation);
    if (at < 0) {
      if (lane.running?.operation !== operation) return;
      operation.isStopAsked = true;
      lane.running.work?.stop();
      await this.#save(operation).catch(() => undefined); // then it goes on if the server is killed before it stops
      return;
    }
    lane.waiting.splice(at, 1);
    this.#count(lane);
    await this.#end(operation, "stopped");
  }

  /** Forgets work that is over; its files stay. @throws NextxError JOB_RUNS */
  async forget(operation: Operation): Promise<void> {
    if (!operation.isOver)
      throw new NextxError("JOB_RUNS", `It is ${operation.state}.`, { path: "id", hint: "Stop it first." });
    this.#all.delete(operation.id);
    await this.#parts.store.remove(operation.id);
  }

  /** Takes up what a server before left, after a kill too. */
  async recover(): Promise<void> {
    for await (const stored of this.#parts.store.each()) {
      const { id, request, state, crashes: before, error, result, isStopAsked } = stored;
      const operation = new Operation(id, request, before + (state === "running" ? 1 : 0));
      this.#all.set(id, operation);
      if (state !== "queued" && state !== "running") {
        operation.state = state;
        if (error)
          operation.error = new NextxError(error.code, error.message, error.hint ? { hint: error.hint } : {});
        operation.result = result;
      } else if (isStopAsked) await this.#end(operation, "stopped");
      else if (operation.crashes >= maxCrashes) await this.#park(operation);
      else {
        await this.#save(operation);
        this.#enqueue(operation);
      }
    }
    await this.#prune();
  }

  /** Forgets the oldest of what is over when there is too much. */
  async #prune(): Promise<void> {
    const over = [...this.#all.values()].filter(({ isOver }) => isOver);
    for (const operation of over.slice(0, Math.max(0, over.length - keptOperations)))
      await this.forget(operation);
  }

  /** Lets what runs save itself; all that is not over goes on with the next server. */
  async shutDown(): Promise<void> {
    this.#isStopped = true;
    const running = [...this.#lanes.values()].flatMap((lane) => lane.running ?? []);
    for (const { work } of running) work?.stop();
    const ended = Promise.allSettled(running.map(({ work }) => work?.ended));
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, stopMs).unref())]);
    for (const { operation, work } of running) {
      work?.kill();
      if (!operation.isOver) operation.state = operation.isStopAsked ? "stopped" : "queued";
      await this.#save(operation).catch(() => undefined); // then the next server counts a crash
    }
  }

  #lane(kind: OperationKind): Lane {
    const name = lanes[kind];
    const lane = this.#lanes.get(name) ?? { waiting: [], held: 0, running: undefined };
    this.#lanes.set(name, lane);
    return lane;
  }

  #requireRoom(kind: OperationKind): void {
    if (this.#isStopped) throw new NextxError("SERVER_STOPPING", "The server is stopping.");
    const { waiting, held } = this.#lane(kind);
    if (waiting.length + held < maxWaiting) return;
    throw new BusyError("QUEUE_FULL", "The queue is full.", busySeconds, "Stop something, or wait.");
  }

  #enqueue(operation: Operation): void {
    const lane = this.#lane(operation.request.kind);
    operation.state = "queued";
    operation.isStopAsked = false;
    lane.waiting.push(operation);
    this.#count(lane);
    operation.tellState();
    queueMicrotask(() => this.#next(lane));
  }

  #count(lane: Lane): void {
    for (const [i, operation] of lane.waiting.entries()) operation.waiting = i + (lane.running ? 1 : 0);
  }

  #next(lane: Lane): void {
    if (lane.running || this.#isStopped) return;
    const operation = lane.waiting.shift();
    if (operation === undefined) return;
    lane.running = { operation, work: undefined };
    void this.#run(lane, lane.running).finally(() => {
      lane.running = undefined;
      this.#count(lane);
      this.#next(lane);
    });
  }

  async #run(lane: Lane, running: Running): Promise<void> {
    const { operation } = running;
    try {
      const resolved = await this.#parts.resolve(operation.request);
      if (operation.isStopAsked) return await this.#end(operation, "stopped");
      if (this.#isStopped) return;
      const work = this.#parts.operators.work(resolved, (event) => this.#onEvent(operation, event));
      running.work = work;
      this.#count(lane);
      operation.state = "running";
      operation.waiting = 0;
      operation.tellState();
      const saved = this.#save(operation).catch(() => undefined); // then a kill of the server counts no crash
      const { outcome, result } = await work.ended;
      await saved;
      if (this.#isStopped && outcome === "stopped" && !operation.isStopAsked) return; // the next server goes on
      operation.result = result;
      await this.#end(operation, outcome);
    } catch (cause) {
      if (cause instanceof WorkFailure) operation.result = cause.result;
      const failure = cause instanceof WorkFailure ? cause.error : toNextxError(cause);
      const isKilled = operation.isStopAsked && failure.code === "COMPUTE_CRASHED"; // it did not stop by itself
      const ended = isKilled ? this.#end(operation, "stopped") : this.#fail(lane, operation, failure);
      await ended.catch((error: unknown) => {
        operation.error = toNextxError(error); // its state cannot be kept; it is taken up when the server starts again
        operation.state = "failed";
        operation.tellState();
      });
    }
  }

  #onEvent(operation: Operation, event: WorkEvent): void {
    operation.tell(event.kind === "text" ? { ...event, text: this.#parts.hide(event.text) } : event);
    if (!isProgress(event) || operation.crashes === 0) return;
    operation.crashes = 0;
    void this.#save(operation).catch(() => undefined); // only costs a try after the next crash
  }

  async #fail(lane: Lane, operation: Operation, error: NextxError): Promise<void> {
    if (this.#isStopped) return;
    if (error.code !== "COMPUTE_CRASHED") {
      operation.error = this.#hidden(error);
      await this.#end(operation, "failed");
      return;
    }
    operation.crashes++;
    if (operation.crashes >= maxCrashes) {
      await this.#park(operation);
      return;
    }
    operation.state = "queued";
    lane.waiting.unshift(operation);
    operation.tellState();
    await this.#save(operation);
  }

  async #park(operation: Operation): Promise<void> {
    operation.error = new NextxError(
      "COMPUTE_CRASHED",
      "It ended with its process twice without getting further.",
    );
    await this.#end(operation, "parked");
  }

  async #end(operation: Operation, state: OperationState): Promise<void> {
    operation.state = state;
    await this.#save(operation);
    operation.tellState();
    await this.#prune().catch(() => undefined); // the next one tries again
  }

  /** Writes one after another, so that the newest state is the one that stays. */
  #save(operation: Operation): Promise<void> {
    const write = async () => {
      const { id, state, crashes, error, result, isStopAsked } = operation;
      const kept = {
        state,
        crashes,
        ...(error && errorBody(error)),
        ...(result && { result: { ...result } }),
        ...(isStopAsked && { isStopAsked }),
      };
      await this.#parts.store.setState(id, kept);
    };
    const before = this.#saves.get(operation) ?? Promise.resolve();
    const saved = before.catch(() => undefined).then(write); // its caller got the error
    this.#saves.set(operation, saved);
    return saved;
  }

  /** Without paths of this machine. */
  #hidden({ code, message, path, hint }: NextxError): NextxError {
    const { hide } = this.#parts;
    return new NextxError(code, hide(message), {
      ...(path !== undefined && { path: hide(path) }),
      ...(hint !== undefined && { hint: hide(hint) }),
    });
  }
}
