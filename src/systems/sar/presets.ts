/**
 * What post-trains the base, by name: the two readings of SAR, and the controls it is compared with.
 * Source: arXiv 2512.06421 (paper), `trainer.py` and `scripts/` (code); where neither says it: inferred.
 */
import type { RefinementOptions } from "../../regimen/selfRefinement.ts";

/** A refinement, and how labels are dropped for its two passes. */
export interface Preset {
  readonly description: string;
  readonly refinement: RefinementOptions;
  /** One draw of dropped labels for both passes; otherwise one each. */
  readonly sharedDrop: boolean;
}

const argmax = { sampling: false, softTargets: false, labelSmoothing: 0 } as const;

export const sarPresets = {
  "sar-paper": {
    description: "paper: all transitions, usual context, targets are the teacher-forced predictions.",
    refinement: { rollout: "all", target: "teacher", context: "blockCausal", sigma: 0.01, ...argmax },
    sharedDrop: true,
  },
  "sar-code": {
    description: "code: the last transition, seen alone behind the class, same targets.",
    refinement: { rollout: "last", target: "teacher", context: "isolated", sigma: 0.01, ...argmax },
    sharedDrop: false,
  },
  "sf-gt": {
    description: "control: as sar-paper, judged by the truth.",
    refinement: { rollout: "all", target: "truth", context: "blockCausal", sigma: 0.01, ...argmax },
    sharedDrop: true,
  },
} as const satisfies Record<string, Preset>;
