/**
 * Markov visibility: a query sees its own group only, so the past reaches it through its input alone and nothing need be
 * cached. Attention may be computed group by group (`LayerOptions.spans`). Source: HMAR `models/nsp.py` (code).
 */
import type { Visibility } from "./types.ts";

export const ownGroup: Visibility = {
  name: "own group",
  cacheable: true,
  hidden({ length, groupOf }): Uint8Array {
    return Uint8Array.from({ length: length * length }, (_, i) =>
      groupOf[Math.floor(i / length)] === groupOf[i % length] ? 0 : 1,
    );
  },
};
