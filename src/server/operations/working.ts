/** What every kind of long work looks like from outside. */
import type { NextxError } from "../../tensor/errors.ts";
import type { OperatorSetting, WorkEvent } from "./messages.ts";

export interface WorkContext {
  readonly setting: OperatorSetting;
  readonly signal: AbortSignal;
  /** How far something is that takes long between events. */
  readonly onText: (text: string) => void;
}

export interface WorkEnd {
  readonly outcome: "finished" | "stopped";
  readonly result?: Record<string, unknown>;
}

/** Work that failed with something to show for it. */
export class WorkFailure extends Error {
  readonly error: NextxError;
  readonly result: Record<string, unknown>;
  constructor(error: NextxError, result: Record<string, unknown>) {
    super(error.message);
    this.error = error;
    this.result = result;
  }
}

/** Tells what happens until it ends. Errors: those of the command that does the same. */
export type Working = AsyncGenerator<WorkEvent, WorkEnd>;
