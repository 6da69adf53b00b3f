/** What the server and a process that does long work tell each other. Paths stand here only, never in what clients see. */
import type { ConvertOptions } from "../../convert.node.ts";
import type { PlainError } from "../compute/messages.ts";
import type { OperationEvent } from "../runProtocol.ts";

/** Long work with everything that it needs to begin or to go on. */
export type Work =
  | {
      readonly kind: "train";
      readonly system: string;
      readonly folder: string;
      readonly begin:
        | {
            readonly recipe: string | undefined;
            readonly overrides: Readonly<Record<string, unknown>>;
            /** What `load` takes. */
            readonly from: string | undefined;
          }
        | undefined;
      readonly checkpointEvery: number;
      readonly observeEvery: number;
    }
  | {
      readonly kind: "claim";
      readonly system: string;
      readonly results: string;
      readonly arms: readonly string[] | undefined;
    }
  | {
      readonly kind: "convert";
      readonly inputs: readonly string[];
      readonly out: string;
      readonly options: Omit<ConvertOptions, "onProgress">;
    }
  | {
      readonly kind: "quantize";
      /** What `load` takes. */
      readonly model: string;
      readonly out: string;
      readonly to: string;
      readonly convolutions: "float" | "calibrated";
      readonly count: number;
    }
  | {
      readonly kind: "export";
      readonly model: string;
      /** A folder. */
      readonly out: string;
      readonly schedule: readonly number[] | undefined;
    };

/** A question that takes a moment and writes nothing. */
export type Question =
  | { readonly kind: "arms"; readonly system: string; readonly results: string }
  | { readonly kind: "inspect"; readonly path: string; readonly key: string | undefined };

export interface OperatorSetting {
  readonly device: string;
  readonly threads: number;
  readonly version: string;
  readonly dataRoot: string | undefined;
}

export type ToOperator =
  | { readonly kind: "work"; readonly work: Work; readonly setting: OperatorSetting }
  | { readonly kind: "question"; readonly question: Question; readonly setting: OperatorSetting }
  | { readonly kind: "stop" };

/** Everything but where it stands, which the server knows. */
export type WorkEvent = Exclude<OperationEvent, { kind: "state" }>;

export type FromOperator =
  | { readonly kind: "ready" }
  | { readonly kind: "event"; readonly event: WorkEvent }
  | {
      readonly kind: "ended";
      readonly outcome: "finished" | "stopped";
      readonly result?: Record<string, unknown>;
    }
  | { readonly kind: "answer"; readonly answer: unknown }
  | {
      readonly kind: "failed";
      readonly error: PlainError;
      readonly result?: Record<string, unknown>;
    };
