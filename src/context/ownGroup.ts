/**
 * Markov visibility: a query sees its own group only, so the past reaches it through its input alone and nothing need be
 * cached. Attention may be computed group by group (`LayerOptions.spans`). Source: HMAR `models/nsp.py` (code).
 */
import { betweenGroups } from "./visibility.ts";

export const ownGroup = betweenGroups("own group", (query, key) => query !== key);
