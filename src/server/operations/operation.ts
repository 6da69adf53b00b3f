/** Long work on its way: its state, what happened last, who listens. */
import type { NextxError } from "../../tensor/errors.ts";
import { errorBody } from "../errors.ts";
import { Listeners } from "../listeners.ts";
import type { OperationEvent, OperationInfo, OperationRequest, OperationState } from "../runProtocol.ts";
import type { WorkEvent } from "./messages.ts";

const over: ReadonlySet<OperationState> = new Set(["stopped", "finished", "failed", "parked"]);

export class Operation {
  readonly id: string;
  readonly request: OperationRequest;
  state: OperationState = "queued";
  /** How often in a row it ended with its process without getting further. */
  crashes: number;
  error: NextxError | undefined;
  result: Readonly<Record<string, unknown>> | undefined;
  /** Whether somebody stopped it: then no server goes on with it. */
  isStopAsked = false;
  /** Work of the same lane before it. */
  waiting = 0;
  /** The last event of each kind, for those who come later. */
  readonly #last = new Map<string, WorkEvent>();
  readonly #listeners = new Listeners<OperationEvent>();

  /** When it was accepted, milliseconds since 1970: ids begin with it. */
  get createdMs(): number {
    return Number.parseInt(this.id, 36);
  }

  constructor(id: string, request: OperationRequest, crashes = 0) {
    this.id = id;
    this.request = request;
    this.crashes = crashes;
  }

  get isOver(): boolean {
    return over.has(this.state);
  }

  get info(): OperationInfo {
    const { id, request, state, crashes, error, result } = this;
    return { id, state, crashes, request, ...(error && errorBody(error)), ...(result && { result }) };
  }

  tell(event: WorkEvent): void {
    this.#last.set(event.kind === "arm" ? `arm ${event.arm}` : event.kind, event);
    this.#listeners.tell(event);
  }

  /** Says where it stands, after that changed. */
  tellState(): void {
    if (this.state === "queued") this.#last.clear();
    this.#listeners.tell(this.#stateEvent());
  }

  #stateEvent(): OperationEvent {
    const { state, crashes, error, waiting } = this;
    return { kind: "state", state, crashes, waiting, ...(error && errorBody(error)) };
  }

  /** Where it stands, then what happens, until it is over or `signal` aborts. */
  events(signal: AbortSignal): AsyncGenerator<OperationEvent> {
    const before = () => [this.#stateEvent(), ...(this.isOver ? [] : this.#last.values())];
    const isLast = (event: OperationEvent) => event.kind === "state" && over.has(event.state);
    return this.#listeners.follow(before, isLast, signal);
  }
}
