/** One request on its way: its state, its events, who listens. */
import type { NextxError } from "../tensor/errors.ts";
import type { Batch, BatchPart } from "./compute/messages.ts";
import { Listeners } from "./listeners.ts";
import type { JobState, ServerEvent } from "./protocol.ts";

/** A request that was checked against its model. */
export interface PlannedRequest {
  readonly recipe: Readonly<Record<string, unknown>>;
  readonly batch: Omit<Batch, "parts">;
  readonly part: BatchPart;
  /** Requests with the same key can share a batch. */
  readonly key: string;
  /** Tokens of all pictures. */
  readonly cost: number;
  /** Of a picture to edit, kept while the request waits. */
  readonly bytes: number;
}

const terminal: ReadonlySet<JobState> = new Set(["finished", "failed", "cancelled", "parked"]);
const lastKinds: ReadonlySet<ServerEvent["kind"]> = new Set(["finished", "failed", "cancelled"]);

export class Job {
  readonly id: string;
  readonly plan: PlannedRequest;
  readonly createdMs = performance.now();
  readonly #listeners = new Listeners<ServerEvent>();
  readonly #events: ServerEvent[] = [];
  state: JobState = "queued";
  /** How often it ended with its process. */
  crashes: number;
  error: NextxError | undefined;
  /** Whether its next attempt shares no batch. */
  isAlone: boolean;

  constructor(id: string, plan: PlannedRequest, crashes = 0) {
    this.id = id;
    this.plan = plan;
    this.crashes = crashes;
    this.isAlone = crashes > 0;
  }

  get isOver(): boolean {
    return terminal.has(this.state);
  }

  emit(event: ServerEvent): void {
    this.#events.push(event);
    this.#listeners.tell(event);
  }

  /** Forgets what happened in an attempt that failed through others or with its process; the next is its own. */
  restart(): void {
    this.state = "queued";
    this.isAlone = true;
    this.#events.splice(1); // all but "accepted"
  }

  /** Every event from the first on, then new ones until the job is over or `signal` aborts. */
  events(signal: AbortSignal): AsyncGenerator<ServerEvent> {
    return this.#listeners.follow(
      () => this.#events,
      ({ kind }) => lastKinds.has(kind),
      signal,
    );
  }
}
