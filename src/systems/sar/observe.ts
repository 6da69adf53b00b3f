/** Looks at held-out data between steps: round trips of the tokenizer, losses per scale, samples of all classes. */
import { areaRows } from "../../codec/resize.ts";
import type { ImageSet } from "../../data/types.ts";
import type { Weights } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import { forcedLosses, forcedSpecs } from "../../regimen/forcedTraining.ts";
import { meansInParts } from "../../regimen/inParts.ts";
import { observeRoundTrip, observeSamples } from "../../regimen/observing.ts";
import type { ModelDescription, Observation } from "../../regimen/system.ts";
import { perScale, scaleMetrics } from "../../regimen/teacherForcedScales.ts";
import { selectTokens, type TokenSet, tokenInputs } from "../../regimen/tokenSet.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats } from "../../runtime/values.ts";
import { mean } from "../../tensor/ops/neural.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { roundTripGraph } from "./programs.ts";
import { buildSar, SarModel, type SarModelConfig } from "./sarModel.ts";
import { FlexScaleWise } from "./scaleWise.ts";
import type { FlexTokenizer } from "./tokenizer.ts";

/** Pictures encoded, quantised at the finest side and decoded again. */
export async function observeTokenizer(
  tokenizer: FlexTokenizer,
  weights: Weights,
  set: ImageSet,
  device: Device,
): Promise<Observation> {
  const side = tokenizer.config.latentSide;
  const inputs = { rows: floats(areaRows(side, side), [side, side]) };
  return observeRoundTrip({ graph: roundTripGraph(tokenizer), weights, inputs }, set, device);
}

/** Held-out loss per scale of the model's own schedule, and samples of all classes. */
export async function observeTransformer(
  description: ModelDescription,
  config: SarModelConfig,
  weights: Weights,
  tokens: TokenSet,
  set: ImageSet,
  device: Device,
): Promise<Observation> {
  const metrics = await heldOutLoss(config, weights, tokens, device);
  using model = new SarModel(description, config, weights, device);
  const { metrics: samples, ...shown } = await observeSamples(model, set);
  return { metrics: { ...metrics, ...samples }, ...shown };
}

async function heldOutLoss(config: SarModelConfig, weights: Weights, tokens: TokenSet, device: Device) {
  const { tokenizer, transformer } = buildSar(config);
  const plan = scalePlan(config.transformer.patchNums);
  const model = new FlexScaleWise(tokenizer, transformer, plan.groups[0]?.size ?? 1);
  const inputs = Object.fromEntries(Object.entries(forcedSpecs(model)).filter(([name]) => name !== "keep"));
  const graph = trace(inputs, (given) => {
    const { losses, hits } = forcedLosses(model, given as Readonly<Record<string, Tensor>>); // declared above
    return { loss: mean(losses), losses: perScale(losses, plan), hits: perScale(hits, plan) };
  });
  using program = await compile(graph, { device, weights, prepack: false });
  const chosen = { plan, ids: selectTokens(tokens, [...tokens.labels.keys()], plan), labels: tokens.labels };
  const values = model.whole.values(plan);
  const means = await meansInParts(tokens.labels.length, tokenizer.imageSize, (first, taken) => {
    const given = tokenInputs(chosen, first, taken);
    return program.run({ ...given, past: given.ids, ...values });
  });
  return scaleMetrics(means);
}
