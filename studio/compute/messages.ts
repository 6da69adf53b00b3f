/** What the page and its computing worker tell each other. */
import type { ModelAddress } from "../../src/index.web.ts";
import type { GenerateInput } from "../../src/server/protocol.ts";

/** A training that is offered in the page: one stage of a system, from a shipped model. */
export interface TrainTask {
  readonly model: ModelAddress;
  readonly stage: string;
  /** Weights whose names start like this are taken over; all when absent. */
  readonly keeps?: string;
  readonly overrides: Readonly<Record<string, unknown>>;
  readonly observeEvery: number;
}

export type Task =
  | { readonly name: "generate"; readonly model: ModelAddress; readonly request: GenerateInput }
  | { readonly name: "recipe"; readonly png: Uint8Array }
  | ({ readonly name: "train" } & TrainTask);

/** What a task tells while it runs. */
export interface TaskEvents {
  generate:
    | { readonly kind: "loading"; readonly done: number; readonly total: number }
    | { readonly kind: "started" }
    | { readonly kind: "preview"; readonly done: number; readonly total: number; readonly strip: string }
    | {
        readonly kind: "finished";
        readonly pictures: readonly string[];
        readonly grid: string;
        readonly waitedMs: number;
        readonly computedMs: number;
      };
  recipe: {
    readonly kind: "recipe";
    readonly recipe: { readonly sha256: string; readonly [key: string]: unknown };
  };
  train:
    | { readonly kind: "progress"; readonly text: string; readonly done: number; readonly total: number }
    | {
        readonly kind: "stage";
        readonly steps: number;
        readonly parameters: number;
        readonly batchSize: number;
      }
    | { readonly kind: "step"; readonly step: number; readonly loss: number; readonly learningRate: number }
    | {
        readonly kind: "observed";
        readonly step: number;
        readonly metrics: Readonly<Record<string, number | readonly number[]>>;
        /** PNG in base64. */
        readonly picture: string | undefined;
      }
    | { readonly kind: "finished"; readonly file: Uint8Array<ArrayBuffer>; readonly sha256: string };
}

/** What computes: shown to people, and kept with measurements. */
export interface DeviceInfo {
  readonly provider: string;
  readonly threads: number;
  readonly runtime: string;
  /** Addresses of what was loaded for it. */
  readonly files: readonly string[];
  /** Why faster ones are not used. */
  readonly skipped: readonly string[];
}

export interface PlainError {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

export type ToWorker =
  /** First of all; `files` is the folder of the runtime's files. */
  | { readonly kind: "open"; readonly files: string }
  | { readonly kind: "start"; readonly id: number; readonly task: Task }
  | { readonly kind: "cancel"; readonly id: number }
  /** Held work waits before its next step. */
  | { readonly kind: "hold"; readonly id: number; readonly held: boolean };

export type FromWorker =
  | { readonly kind: "device"; readonly device: DeviceInfo }
  | { readonly kind: "event"; readonly id: number; readonly event: TaskEvents[keyof TaskEvents] }
  | { readonly kind: "ended"; readonly id: number }
  | { readonly kind: "failed"; readonly id: number; readonly error: PlainError };
