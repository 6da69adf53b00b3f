/** What the server and its computing process tell each other. */
import type { EditFiles } from "../../picture.node.ts";

/** The part of a batch that belongs to one request. */
export interface BatchPart {
  readonly labels: readonly (number | null)[];
  readonly seed: number;
  readonly first: number;
  readonly columns: number | undefined;
  readonly previews: boolean;
}

/** Requests of one model with the same settings, computed together. */
export interface Batch {
  /** Shipped name, or the path of a file; never what a client wrote. */
  readonly model: string;
  readonly sha256: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly edit: EditFiles | undefined;
  readonly parts: readonly BatchPart[];
}

/** Pictures so far of each part, below each other, as PNG; null for parts without previews. */
export interface BatchStep {
  readonly done: number;
  readonly total: number;
  readonly strips: readonly (Uint8Array | null)[];
}

/** PNGs with their recipes. */
export interface PartResult {
  readonly pictures: readonly Uint8Array[];
  readonly grid: Uint8Array;
}

export interface BatchResult {
  readonly parts: readonly PartResult[];
  readonly computedMs: number;
}

export interface PlainError {
  readonly code: string;
  readonly message: string;
  readonly path?: string;
  readonly hint?: string;
}

export type ToCompute =
  | { readonly kind: "run"; readonly id: number; readonly batch: Batch }
  | { readonly kind: "cancel"; readonly id: number };

export type FromCompute =
  | { readonly kind: "ready" }
  /** Before ever being ready: the device cannot be used. */
  | { readonly kind: "refused"; readonly error: PlainError }
  | { readonly kind: "step"; readonly id: number; readonly step: BatchStep }
  | { readonly kind: "finished"; readonly id: number; readonly result: BatchResult }
  | { readonly kind: "failed"; readonly id: number; readonly error: PlainError };

/** What computes batches, one after the other. */
export interface Compute {
  /** Rejects with COMPUTE_CRASHED when the process ended, ABORTED after `signal`, else with the batch's own error. */
  run(batch: Batch, onStep: (step: BatchStep) => void, signal: AbortSignal): Promise<BatchResult>;
}
