/** Tokens of pictures, made once before training: any schedule over the stored sides is a selection of them. */
import type { Loader } from "../data/loader.ts";
import type { ImageSet } from "../data/types.ts";
import { throwIfAborted } from "../decoding/loop.ts";
import type { Weights } from "../nn/scope.ts";
import type { Plan, Scale } from "../plan/types.ts";
import type { Device } from "../runtime/device.ts";
import { compile } from "../runtime/program.ts";
import type { Graph } from "../runtime/trace.ts";
import { floats, ints, type Value } from "../runtime/values.ts";
import { invariant } from "../tensor/errors.ts";

/** Tokens [N, L] of a plan that holds every side once, and labels [N]. */
export interface TokenSet {
  readonly plan: Plan<Scale>;
  readonly ids: Uint16Array;
  readonly labels: Int32Array;
}

/** Tokens [B * L] of some pictures for a schedule over stored sides. */
export function selectTokens(set: TokenSet, pictures: ArrayLike<number>, plan: Plan<Scale>): Int32Array {
  const starts = plan.groups.map((scale) => {
    const stored = set.plan.groups.find(({ side }) => side === scale.side);
    invariant(stored !== undefined, `Side ${scale.side} was tokenised.`);
    return stored.start;
  });
  const ids = new Int32Array(pictures.length * plan.length);
  for (let b = 0; b < pictures.length; b++) {
    const picture = (pictures[b] as number) * set.plan.length; // in range
    for (const [s, { start, size }] of plan.groups.entries()) {
      const from = picture + (starts[s] as number); // one per scale
      ids.set(set.ids.subarray(from, from + size), b * plan.length + start);
    }
  }
  return ids;
}

/** Labels [B] and tokens [B, L] of some pictures of a set, as a program takes them. */
export function tokenInputs(
  {
    ids,
    labels,
    plan: { length },
  }: Omit<TokenSet, "ids" | "plan"> & {
    readonly ids: ArrayLike<number> & { subarray(from: number, to: number): ArrayLike<number> };
    readonly plan: Pick<Plan, "length">;
  },
  first: number,
  taken: number,
): { readonly labels: Value; readonly ids: Value } {
  const some = Int32Array.from(ids.subarray(first * length, (first + taken) * length));
  return {
    labels: ints(labels.slice(first, first + taken), [taken]),
    ids: ints(some, [taken, length]),
  };
}

/** What tokenising gives. */
export interface TokenSplits {
  readonly set: ImageSet;
  readonly validation: ImageSet;
  readonly tokens: TokenSet;
  readonly heldOutTokens: TokenSet;
}

/** Splits that trainings over the same frozen tokenizer share, by recipe and seed. */
export type TokenCache = Map<string, Promise<TokenSplits>>;

export interface TokeniseRequest {
  /** Pictures `images` and `values` in, `ids` [B, L] out. */
  readonly graph: Graph;
  readonly values: Readonly<Record<string, Value>>;
  readonly weights: Weights;
  /** Tokens per picture: those of all sides. */
  readonly plan: Plan<Scale>;
  /** Channels, height and width. */
  readonly pictureShape: readonly number[];
  readonly loader: Loader;
  /** Pictures to tokenise, augmented ones count. */
  readonly count: number;
  readonly device: Device;
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal;
}

/** Tokenises the next pictures of a loader. Errors: ABORTED, between batches. */
export async function tokenise(request: TokeniseRequest): Promise<TokenSet> {
  const { plan, count, loader } = request;
  const { length } = plan;
  const set = { plan, ids: new Uint16Array(count * length), labels: new Int32Array(count) };
  using program = await compile(request.graph, { device: request.device, weights: request.weights });
  for (let done = 0; done < count; ) {
    throwIfAborted(request.signal);
    const { images, labels } = loader.next();
    const pictures = floats(images, [labels.length, ...request.pictureShape]);
    const { ids } = await program.run({ images: pictures, ...request.values });
    const taken = Math.min(labels.length, count - done);
    set.ids.set((ids as Value).data.subarray(0, taken * length), done * length); // the graph's output
    set.labels.set(labels.subarray(0, taken), done);
    done += taken;
    request.onProgress?.(done);
  }
  return set;
}
