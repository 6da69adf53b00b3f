/** Masks of the context axis. */
import type { Plan } from "../plan/types.ts";
import type { Visibility } from "./types.ts";

/** A visibility that the groups of query and key decide. */
export const betweenGroups = (
  name: string,
  isHidden: (query: number, key: number) => boolean,
): Visibility => ({
  name,
  hidden: ({ length, groupOf }) =>
    Uint8Array.from(
      { length: length * length },
      (_, i) => (isHidden(groupOf[Math.floor(i / length)] as number, groupOf[i % length] as number) ? 1 : 0), // in range
    ),
});

/** Additive attention bias of flags, 1 = hidden: 0 where visible, -1e9 (finite, so no row is ever NaN) where hidden. */
export const biasOf = (hidden: Uint8Array): Float32Array =>
  Float32Array.from(hidden, (flag) => (flag === 1 ? -1e9 : 0));

/** The bias of a visibility. */
export const attentionBias = (
  visibility: Visibility,
  order: Pick<Plan, "length" | "groupOf">,
): Float32Array => biasOf(visibility.hidden(order));
