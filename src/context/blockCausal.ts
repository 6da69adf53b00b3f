/** Block-causal visibility: a query sees its own group and all earlier ones. Source: VAR `models/var.py` (code). */
import type { Plan } from "../plan/types.ts";
import type { Visibility } from "./types.ts";

export const blockCausal: Visibility = {
  name: "block-causal",
  cacheable: true,
  hidden({ length, groupOf }): Uint8Array {
    return Uint8Array.from({ length: length * length }, (_, i) => {
      const [query, key] = [groupOf[Math.floor(i / length)] as number, groupOf[i % length] as number]; // in range
      return query < key ? 1 : 0;
    });
  },
};

/** Additive attention bias of a visibility: 0 where visible, -1e9 (finite, so no row is ever NaN) where hidden. */
export function attentionBias(visibility: Visibility, order: Pick<Plan, "length" | "groupOf">): Float32Array {
  return Float32Array.from(visibility.hidden(order), (hidden) => (hidden === 1 ? -1e9 : 0));
}

/**
 * A query sees its own group and the first one, which stands for the class. Source: SAR `trainer.py`, pass 2 (code), where
 * only one group follows the class; with several, inferred from the all-scales form of `scalear_trainer.py`.
 */
export const classAndSelf: Visibility = {
  name: "class and self",
  cacheable: true,
  hidden({ length, groupOf }): Uint8Array {
    return Uint8Array.from({ length: length * length }, (_, i) => {
      const [query, key] = [groupOf[Math.floor(i / length)], groupOf[i % length]];
      return key === query || key === 0 ? 0 : 1;
    });
  },
};
