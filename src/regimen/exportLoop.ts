/**
 * A model's generation loop written down for other runtimes: its graphs, the tensors that the loop feeds, and what is fed
 * where, as data. `nextx export --onnx` writes it; `examples/onnx/loop.mjs` runs it without nextx.
 */
import type { Graph } from "../runtime/trace.ts";
import type { Value } from "../runtime/values.ts";

/** Where an input of a graph comes from; lists have one entry per scale. */
export type LoopInput =
  /** A tensor of the export by name. */
  | { readonly from: "tensor"; readonly name: string }
  | { readonly from: "tensors"; readonly names: readonly string[] }
  /** int32 scalars. */
  | { readonly from: "values"; readonly values: readonly number[] }
  /** Codebook rows of the scale's tokens [B, N, width]. */
  | { readonly from: "codes" }
  /** The same as a map [B, width, side, side]. */
  | { readonly from: "codeMap" }
  /** What the same graph gave under this name, zeros of [B, ...shape] at first. */
  | { readonly from: "state"; readonly name: string; readonly shape: readonly number[] }
  /** Rows of the position table of the next scale [1, K, C]; after the last scale, of the first. */
  | { readonly from: "nextPositions" };

export type LoopInputs = Readonly<Record<string, LoopInput>>;

/** What the manifest says about the loop besides its graphs. */
export interface LoopDescription {
  readonly scales: readonly { readonly side: number; readonly start: number; readonly size: number }[];
  readonly vocabSize: number;
  readonly codeWidth: number;
  readonly width: number;
  readonly cache: { readonly layers: number; readonly heads: number; readonly headWidth: number };
  /** The label of the unconditional rows. */
  readonly nullLabel: number;
  /** Guidance of scale s: t = slope[s] cfgScale + offset[s]; logits = (1 + t) conditional - t unconditional. */
  readonly guidance: { readonly slope: readonly number[]; readonly offset: readonly number[] };
  /** Settings as they are without others. */
  readonly sampling: {
    readonly cfgScale: number;
    readonly topK: number;
    readonly topP: number;
    readonly temperature: number;
  };
  /** Scales that take the most likely code whatever the settings. */
  readonly greedy: readonly boolean[];
  readonly positions: LoopInputs;
  readonly advance: LoopInputs;
  /** Whether `advance` also runs after the last scale. */
  readonly advanceLast: boolean;
  readonly decode: LoopInputs;
  /** Side of the decoded picture in pixels. */
  readonly pictureSize: number;
}

export interface LoopExport {
  /** `positions`, `advance`, `decode`, and with and without guidance `start`, `step`. */
  readonly graphs: Readonly<Record<string, Graph>>;
  /** What the loop feeds, `codebook` [V, codeWidth] among them; float32. */
  readonly tensors: ReadonlyMap<string, Value>;
  readonly description: LoopDescription;
}

/** The same setting for every scale. */
export const each = <T>(scales: readonly unknown[], value: T): T[] => scales.map(() => value);
