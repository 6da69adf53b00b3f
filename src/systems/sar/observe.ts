/** Looks at held-out data between steps: round trips of the tokenizer, losses per scale, samples of all classes. */
import { areaRows } from "../../codec/resize.ts";
import { composeContactSheet } from "../../data/contactSheet.ts";
import type { ImageSet } from "../../data/types.ts";
import type { Weights } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import { forcedLosses, forcedSpecs } from "../../regimen/forcedTraining.ts";
import { firstPictures, followsRate, heldOut, roundTrip } from "../../regimen/observing.ts";
import type { ModelDescription, Observation } from "../../regimen/system.ts";
import { selectTokens, type TokenSet } from "../../regimen/tokenSet.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
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
  const pictures = firstPictures(set, heldOut.tokenizer);
  const [count, size] = [pictures.labels.length, set.size];
  const side = tokenizer.config.latentSide;
  using program = await compile(roundTripGraph(tokenizer), { device, weights, prepack: false });
  const { images } = await program.run({
    images: floats(pictures.images, [count, 3, size, size]),
    rows: floats(areaRows(side, side), [side, side]),
  });
  return roundTrip(set, pictures, images.data as Float32Array); // decoded: float32
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
  const { numClasses } = config.transformer;
  const labels = Array.from({ length: heldOut.samples }, (_, i) => i % numClasses);
  let pixels = new Uint8Array(0);
  for await (const event of model.sample({ labels, seed: 0, options: {}, previews: false }))
    pixels = Uint8Array.from(event.pixels);
  return {
    metrics: { ...metrics, ...followsRate(set, pixels, labels) },
    picture: composeContactSheet(pixels, labels.length, set.size, { columns: 8, scale: 3 }),
  };
}

async function heldOutLoss(config: SarModelConfig, weights: Weights, tokens: TokenSet, device: Device) {
  const { tokenizer, transformer } = buildSar(config);
  const plan = scalePlan(config.transformer.patchNums);
  const model = new FlexScaleWise(tokenizer, transformer, plan.groups[0]?.size ?? 1);
  const inputs = Object.fromEntries(Object.entries(forcedSpecs(model)).filter(([name]) => name !== "keep"));
  const graph = trace(inputs, (given) => {
    const { losses, hits } = forcedLosses(model, given as Readonly<Record<string, Tensor>>); // declared above
    return { losses, hits };
  });
  using program = await compile(graph, { device, weights, prepack: false });
  const count = tokens.labels.length;
  const ids = ints(selectTokens(tokens, [...tokens.labels.keys()], plan), [count, plan.length]);
  const labels = ints(tokens.labels, [count]);
  const out = await program.run({ labels, ids, past: ids, ...model.whole.values(plan) });
  const means = ({ data }: Value) =>
    plan.groups.map(({ start, size }) => {
      let sum = 0;
      for (let b = 0; b < count; b++)
        for (let i = start; i < start + size; i++) sum += data[b * plan.length + i] as number; // in range
      return sum / (count * size);
    });
  const scaleLoss = means(out.losses);
  const total = plan.groups.reduce((sum, { size }, s) => sum + size * (scaleLoss[s] as number), 0);
  return {
    validationLoss: total / plan.length,
    validationScaleLoss: scaleLoss,
    validationScaleAccuracy: means(out.hits),
  };
}
