/** What every kind of long work looks like from outside. */
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

/** Tells what happens until it ends. Errors: those of the command that does the same. */
export type Working = AsyncGenerator<WorkEvent, WorkEnd>;
