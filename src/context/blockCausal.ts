/** Block-causal visibility: a query sees its own group and all earlier ones. Source: VAR `models/var.py` (code). */
import { betweenGroups } from "./visibility.ts";

export const blockCausal = betweenGroups("block-causal", (query, key) => query < key);

/**
 * A query sees its own group and the first one, which stands for the class. Source: SAR `trainer.py`, pass 2 (code), where
 * only one group follows the class; with several, inferred from the all-scales form of `scalear_trainer.py`.
 */
export const classAndSelf = betweenGroups("class and self", (query, key) => key !== query && key !== 0);
