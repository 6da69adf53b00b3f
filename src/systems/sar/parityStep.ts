/** The released training step as reference cases ask for it: both passes, their tensors, and gradients of the total. */
import { numberArg, type ParityInputs } from "../../formats/parityCase.ts";
import type { Scope, Weights } from "../../nn/scope.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import { forcedTraining } from "../../regimen/forcedTraining.ts";
import { trainingGraph } from "../../regimen/objective.ts";
import { runOnce } from "../../regimen/parityTools.ts";
import { presets } from "../../regimen/refineMethods.ts";
import { Rollout } from "../../regimen/rollout.ts";
import {
  type RefinementOptions,
  refinementSpecs,
  refinementValues,
  rolledScales,
  selfRefinement,
} from "../../regimen/selfRefinement.ts";
import type { Device } from "../../runtime/device.ts";
import { ints, type Value } from "../../runtime/values.ts";
import { RandomStream } from "../../tensor/random.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { FlexScaleWise } from "./scaleWise.ts";

export interface ParityStep {
  readonly inputs: ParityInputs;
  readonly scope: Scope;
  readonly form: FlexScaleWise;
  readonly plan: Plan<Scale>;
  readonly smoothing: number;
  readonly weights: Weights;
  readonly device: Device;
}

/** Any mode but the two that refine trains by teacher forcing, as in the official `train_step`. */
export async function parityStep(step: ParityStep): Promise<Record<string, Value>> {
  const { training_mode: mode } = step.inputs.args;
  if (mode === "csfl") return refine(step, "teacher");
  return mode === "tf_then_single_sf" ? refine(step, "truth") : force(step);
}

async function force({ inputs, scope, form, plan, smoothing, weights, device }: ParityStep) {
  const [labels, ids] = [inputs.tensor("labels"), inputs.tensor("idx")];
  const graph = forcedTraining(scope, form, smoothing);
  const values = { labels, ids, past: ids, ...form.whole.values(plan) };
  const out = await runOnce(graph, values, weights, device);
  const loss = out.loss as Value; // the graph's output
  return { ...out, teacher_loss: loss, total_loss: loss };
}

async function refine(step: ParityStep, target: RefinementOptions["target"]) {
  const { inputs, scope, form, plan, smoothing, weights, device } = step;
  const { args } = inputs;
  const sampling = args.sf_use_sampling === true;
  const options: RefinementOptions = {
    ...presets["sar-code"],
    target,
    sampling,
    sigma: numberArg(inputs, "sigma", 0.01),
    labelSmoothing: smoothing,
  };
  const [labels, ids] = [inputs.tensor("labels"), inputs.tensor("idx")];
  using rollout = new Rollout(
    form,
    {
      sampling,
      sfCfg: numberArg(inputs, "sf_cfg_scale", 1.2),
      topK: numberArg(inputs, "sf_top_k", 900),
      topP: numberArg(inputs, "sf_top_p", 0.96),
    },
    weights,
    device,
  );
  const request = { weights, labels: labels.data as Int32Array, truth: ids.data as Int32Array, plan };
  const drawn = sampling && (await rollout.oneStep(request, RandomStream.from(0, "parity")));
  const graph = trainingGraph(refinementSpecs(form, options), scope, (tensors) => {
    const all = selfRefinement(form, options, tensors);
    return {
      loss: all.loss,
      metrics: {
        rollout_idx: all.picks,
        student_input: form.isolatedInput(all.picks, tensors.studentNext as Tensor), // declared by the isolated form
        student_logits: all.studentLogits,
        teacher_loss: all.teacherLoss,
        student_loss: all.studentLoss,
        total_loss: all.loss,
      },
    };
  });
  const rolled = rolledScales(plan, options.rollout, () => 0);
  const values = {
    labels,
    studentLabels: labels,
    ids,
    ...(drawn && { picks: ints(drawn, ids.shape) }),
    ...refinementValues(form, options, plan, rolled),
  };
  return runOnce(graph, values, weights, device);
}
