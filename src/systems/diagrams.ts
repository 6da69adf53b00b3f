/** Plans and masks of systems, from the code that trains them, to be drawn. */
import { blockCausal, classAndSelf } from "../context/blockCausal.ts";
import { ownGroup } from "../context/ownGroup.ts";
import type { Visibility } from "../context/types.ts";
import { cellPlan, doublingPlan } from "../plan/entities.ts";
import { wavefrontPlan } from "../plan/lattice.ts";
import { scalePlan } from "../plan/scales.ts";
import type { Plan } from "../plan/types.ts";

export interface PlanDiagram {
  readonly name: string;
  readonly plan: Plan;
  readonly visibility: Visibility;
}

const sides = [1, 2, 3, 4, 6, 8] as const;

/** By system id; what has no entry has no drawing yet. */
export const planDiagrams: Readonly<Record<string, readonly PlanDiagram[]>> = {
  var: [{ name: "schedule of synth-32", plan: scalePlan(sides), visibility: blockCausal }],
  sar: [
    { name: "schedule of synth-32", plan: scalePlan(sides), visibility: blockCausal },
    { name: "four steps, same model", plan: scalePlan([1, 2, 4, 8]), visibility: blockCausal },
    { name: "second pass of sar-code", plan: scalePlan([1, 8]), visibility: classAndSelf },
  ],
  hmar: [{ name: "schedule of synth-32", plan: scalePlan(sides), visibility: ownGroup }],
  nar: [{ name: "8 x 8 sites by distance", plan: wavefrontPlan([8, 8]), visibility: blockCausal }],
  flowar: [{ name: "scales of synth-32", plan: scalePlan([1, 2, 4, 8]), visibility: blockCausal }],
  xar: [
    { name: "cells of synth-32", plan: cellPlan(8, 2), visibility: blockCausal },
    { name: "scales of synth-32-scale", plan: doublingPlan(8, 4), visibility: blockCausal },
  ],
};
