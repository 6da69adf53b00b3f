/**
 * Self-autoregressive refinement: a teacher-forced pass, then a pass on the model's own shifted predictions that is
 * trained to agree with the first. Source: SAR, arXiv 2512.06421, section 4 (paper), and `trainer.py` (code); where they
 * differ both are options: rollout, context and target. No new parameters, no change at inference.
 * Shape letters: B batch, L tokens, N judged tokens, V codes.
 */
import type { Scope } from "../nn/scope.ts";
import type { Plan, Scale } from "../plan/types.ts";
import { bools, floats, ints } from "../runtime/values.ts";
import type { Dim } from "../tensor/dims.ts";
import { invariant, NextxError } from "../tensor/errors.ts";
import { add, equal, mul, where } from "../tensor/ops/elementwise.ts";
import { argmaxLast, gatherRows } from "../tensor/ops/gather.ts";
import { mean } from "../tensor/ops/neural.ts";
import { cast, stopGradient, transpose } from "../tensor/ops/structure.ts";
import { bool, float32, int32, type Tensor, type TensorSpec } from "../tensor/tensor.ts";
import { trainingGraph } from "./objective.ts";
import {
  divergence,
  type IsolatedForm,
  keepFactors,
  keepSpecs,
  type ScaleWiseModel,
  type Tensors,
  tokenLoss,
  type Values,
  weighted,
} from "./scaleWise.ts";

export interface RefinementOptions {
  /** Which transitions the second pass takes from the model: all, the last, or one at random. */
  readonly rollout: "last" | "random" | "all";
  /** What the second pass is judged by: the first pass's picks, or the truth. */
  readonly target: "teacher" | "truth";
  /** What a scale sees in the second pass: all earlier scales, or only the class and itself. */
  readonly context: "isolated" | "blockCausal";
  /** Weight of the second pass's loss. */
  readonly sigma: number;
  /** Picks are drawn by the host and given as input; otherwise they are the likeliest codes, found in the same program. */
  readonly sampling: boolean;
  /** Divergence from the teacher's distribution instead of cross-entropy of its picks. */
  readonly softTargets: boolean;
  readonly labelSmoothing: number;
}

/** Everything a refinement step computes. */
export interface Refinement {
  readonly loss: Tensor;
  readonly teacherLoss: Tensor;
  readonly studentLoss: Tensor;
  readonly accuracy: Tensor;
  /** Share of judged tokens where both passes agree on the likeliest code. */
  readonly agreement: Tensor;
  readonly teacherLogits: Tensor;
  /** [B, N, V]. */
  readonly studentLogits: Tensor;
  /** The model's predictions that become the past, [B, L]. */
  readonly picks: Tensor;
}

/** Errors: REFINEMENT_NO_ISOLATED, REFINEMENT_SOFT_TRUTH. */
function isolatedForm(model: ScaleWiseModel, options: RefinementOptions): IsolatedForm | undefined {
  if (options.softTargets && options.target === "truth") {
    throw new NextxError("REFINEMENT_SOFT_TRUTH", "Only a teacher has soft targets.", {
      path: "softTargets",
    });
  }
  if (options.context === "blockCausal") return undefined;
  if (model.isolated) return model.isolated;
  throw new NextxError("REFINEMENT_NO_ISOLATED", "This model has no pass over isolated scales.", {
    path: "context",
    hint: 'Use context "blockCausal".',
  });
}

/** Inputs of a refinement step. */
export function refinementSpecs(
  model: ScaleWiseModel,
  options: RefinementOptions,
): Record<string, TensorSpec> {
  const { specs, length } = model.whole;
  const isolated = isolatedForm(model, options);
  return {
    labels: int32("B"),
    studentLabels: int32("B"),
    ids: int32("B", length),
    ...(options.sampling && { picks: int32("B", length) }),
    ...specs,
    ...(isolated
      ? { ...isolated.specs, sites: int32(isolated.length), judged: float32(isolated.length) }
      : { rolled: bool(length), judged: float32(length) }),
    ...keepSpecs(model, "keep"),
    ...keepSpecs(model, "studentKeep"),
  };
}

/** Entries of some sites: x [B, L, ...], sites [N] -> [B, N, ...]. */
function atSites(x: Tensor, sites: Tensor): Tensor {
  const swap = [1, 0, ...x.shape.slice(2).map((_: Dim, i: number) => i + 2)];
  return transpose(gatherRows(transpose(x, swap), sites), swap);
}

/** The step's losses; gradients reach parameters only through the logits of the two passes. */
export function selfRefinement(
  model: ScaleWiseModel,
  options: RefinementOptions,
  inputs: Tensors,
): Refinement {
  const get = (name: string): Tensor => inputs[name] as Tensor; // declared by refinementSpecs
  const ids = get("ids");
  const teacherLogits = model.whole.logits(get("labels"), ids, inputs, keepFactors(inputs.keep));
  const best = argmaxLast(teacherLogits);
  const picks = options.sampling ? get("picks") : best;
  const { student, targets, teacher } = secondPass(model, options, inputs, { picks, teacherLogits });
  const losses = options.softTargets
    ? divergence(teacher, student, targets)
    : tokenLoss(student, targets, options.labelSmoothing);
  const teacherLoss = mean(tokenLoss(teacherLogits, ids, options.labelSmoothing));
  const studentLoss = weighted(losses, get("judged"));
  const agrees = cast(equal(argmaxLast(student), argmaxLast(teacher)), "float32");
  return {
    loss: add(teacherLoss, mul(studentLoss, options.sigma)),
    teacherLoss,
    studentLoss,
    accuracy: mean(cast(equal(best, ids), "float32")),
    agreement: weighted(agrees, get("judged")),
    teacherLogits,
    studentLogits: student,
    picks,
  };
}

/** Student logits, targets and teacher logits of the judged sites. */
function secondPass(
  model: ScaleWiseModel,
  options: RefinementOptions,
  inputs: Tensors,
  first: { readonly picks: Tensor; readonly teacherLogits: Tensor },
): { student: Tensor; targets: Tensor; teacher: Tensor } {
  const get = (name: string): Tensor => inputs[name] as Tensor; // declared by refinementSpecs
  const isolated = isolatedForm(model, options);
  const targets = options.target === "teacher" ? first.picks : get("ids");
  const teacher = stopGradient(first.teacherLogits);
  const keep = keepFactors(inputs.studentKeep);
  if (isolated === undefined) {
    const past = where(get("rolled"), first.picks, get("ids"));
    return { student: model.whole.logits(get("studentLabels"), past, inputs, keep), targets, teacher };
  }
  const sites = get("sites");
  return {
    student: isolated.logits(get("studentLabels"), first.picks, inputs, keep),
    targets: atSites(targets, sites),
    teacher: atSites(teacher, sites),
  };
}

/** Training graph of both passes; gradients are summed in one program. */
export function refinementTraining(scope: Scope, model: ScaleWiseModel, options: RefinementOptions) {
  return trainingGraph(refinementSpecs(model, options), scope, (inputs) => {
    const { loss, teacherLoss, studentLoss, accuracy, agreement } = selfRefinement(model, options, inputs);
    return { loss, metrics: { teacherLoss, studentLoss, accuracy, agreement } };
  });
}

/** The scales whose predictions become the past of the next; `draw` gives a number in [0, 1). */
export function rolledScales(
  { groups }: Plan<Scale>,
  rollout: RefinementOptions["rollout"],
  draw: () => number,
): readonly Scale[] {
  const sources = groups.slice(0, -1);
  switch (rollout) {
    case "all":
      return sources;
    case "last":
      return sources.slice(-1);
    case "random": {
      const at = Math.floor(draw() * sources.length);
      return sources.slice(at, at + 1);
    }
    default:
      return rollout satisfies never;
  }
}

/** Values of the schedule's inputs, without labels and tokens. */
export function refinementValues(
  model: ScaleWiseModel,
  options: RefinementOptions,
  plan: Plan<Scale>,
  rolled: readonly Scale[],
): Values {
  const nexts = rolled.map((scale) => {
    const next = plan.groups[scale.index + 1];
    invariant(next !== undefined, "The last scale has no next one.");
    return next;
  });
  const judgedSites = nexts.flatMap(({ start, size }) => Array.from({ length: size }, (_, i) => start + i));
  const count = judgedSites.length;
  const isolated = isolatedForm(model, options);
  if (isolated) {
    return {
      ...model.whole.values(plan),
      ...isolated.values(plan, rolled),
      sites: ints(judgedSites, [count]),
      judged: floats(new Float32Array(count).fill(1 / count), [count]),
    };
  }
  const judged = new Float32Array(plan.length);
  for (const site of judgedSites) judged[site] = 1 / count;
  const flags = new Uint8Array(plan.length);
  for (const { start, size } of rolled) flags.fill(1, start, start + size);
  return {
    ...model.whole.values(plan),
    rolled: bools(flags, [plan.length]),
    judged: floats(judged, [plan.length]),
  };
}
