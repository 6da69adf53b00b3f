/** The context axis: what each position may see, and where the past comes from in training. */
import type { Plan } from "../plan/types.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Says which keys a query must not see. */
export interface Visibility {
  readonly name: string;
  /** True when past activations never change, so that keys and values may be cached. */
  readonly cacheable: boolean;
  /** length x length flags, row = query, 1 = hidden. */
  hidden(plan: Plan): Uint8Array;
}

/** Where the tokens that a model sees as its past come from while it trains. */
export interface PastSource {
  readonly name: string;
  /** Keep the true labels, or recompute them from the altered past (residual codecs). */
  readonly labels: "keep" | "recompute";
  /** The past of each position, from the true tokens [B, L]. */
  past(truth: Tensor): Tensor;
}
