/** VAR's two stages, tokenizer and transformer, with what is looked at between steps. */
import { composeContactSheet } from "../../data/contactSheet.ts";
import { createLoader } from "../../data/loader.ts";
import type { ImageSet } from "../../data/types.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { defaultAdamW } from "../../regimen/adamw.ts";
import { CodecTask } from "../../regimen/codecTask.ts";
import { firstPictures, followsRate, heldOut, roundTrip } from "../../regimen/observing.ts";
import { ScaleWiseTask, undecayed } from "../../regimen/scaleWiseTask.ts";
import { loaderOf, trainerOptions } from "../../regimen/stageRecipe.ts";
import type { ModelDescription, Observation, Stage, StageContext } from "../../regimen/system.ts";
import { type TokenSet, tokenise } from "../../regimen/tokenSet.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints } from "../../runtime/values.ts";
import { symbol } from "../../tensor/dims.ts";
import { int32 } from "../../tensor/tensor.ts";
import { perScale, tokenLosses } from "./objective.ts";
import { decodeGraph, tokenizeGraph } from "./programs.ts";
import type { VarRecipe } from "./recipe.ts";
import { teacherForcing, varTrainee } from "./scaleWise.ts";
import { VarTokenizer } from "./tokenizer.ts";
import { tokenizerPrefix, trainableTokenizer } from "./trainableCodec.ts";
import { buildVar, VarModel, type VarModelConfig } from "./varModel.ts";

/** The model of a recipe on a set. */
export function modelConfig(recipe: VarRecipe, numClasses: number): VarModelConfig {
  const { tokenizer, transformer } = recipe;
  return { tokenizer, transformer: { ...transformer, numClasses, patchNums: tokenizer.patchNums } };
}

/** Round trip of held-out pictures: PSNR, share that keeps the set's rules, originals above reconstructions. */
async function observeTokenizer(
  tokenizer: VarTokenizer,
  weights: Weights,
  set: ImageSet,
  device: Device,
): Promise<Observation> {
  const { images, labels } = firstPictures(set, heldOut.tokenizer);
  const [count, size] = [labels.length, set.size];
  using tokenize = await compile(tokenizeGraph(tokenizer), { device, weights, prepack: false });
  using decode = await compile(decodeGraph(tokenizer), { device, weights, prepack: false });
  const { reconstructions } = await tokenize.run({ images: floats(images, [count, 3, size, size]) });
  const all = reconstructions?.data as Float32Array; // (B, S, C, P, P)
  const scales = tokenizer.plan.groups.length;
  const length = all.length / count / scales;
  const features = new Float32Array(count * length);
  for (let i = 0; i < count; i++) {
    const last = i * scales + scales - 1;
    features.set(all.subarray(last * length, (last + 1) * length), i * length);
  }
  const { zChannels } = tokenizer.config;
  const { side } = tokenizer.vq;
  const decoded = (await decode.run({ features: floats(features, [count, zChannels, side, side]) })).images;
  const output = decoded?.data as Float32Array; // the graph's output
  return roundTrip(set, { images, labels }, output);
}

/** Held-out loss per scale, and samples of all classes. */
async function observeTransformer(
  description: ModelDescription,
  config: VarModelConfig,
  weights: Weights,
  tokens: TokenSet,
  set: ImageSet,
  device: Device,
): Promise<Observation> {
  const metrics = await heldOutLoss(config, weights, tokens, device);
  using model = new VarModel(description, config, weights, device);
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

async function heldOutLoss(
  config: VarModelConfig,
  weights: Weights,
  { ids, labels }: TokenSet,
  device: Device,
): Promise<Record<string, number | readonly number[]>> {
  const { tokenizer, transformer } = buildVar(config);
  const B = symbol("B");
  const graph = trace({ labels: int32(B), ids: int32(B, tokenizer.plan.length) }, (inputs) => {
    const { loss, losses, hits } = tokenLosses(tokenizer, transformer, inputs.labels, inputs.ids);
    return { loss, losses: perScale(losses, transformer), hits: perScale(hits, transformer) };
  });
  using program = await compile(graph, { device, weights, prepack: false });
  const out = await program.run({
    labels: ints(labels, [labels.length]),
    ids: ints(Int32Array.from(ids), [labels.length, tokenizer.plan.length]),
  });
  const list = (name: keyof typeof out): number[] => Array.from(out[name].data);
  return {
    validationLoss: list("loss")[0] ?? Number.NaN,
    validationScaleLoss: list("losses"),
    validationScaleAccuracy: list("hits"),
  };
}

/** The programme of a recipe. */
export function varStages(
  recipe: VarRecipe,
  describe: (set: ImageSet) => ModelDescription,
): readonly Stage[] {
  const { train, tokenizer: tokenizerConfig } = recipe;
  return [
    {
      name: "tokenizer",
      steps: train.tokenizer.steps,
      options: trainerOptions(train.tokenizer, defaultAdamW.undecayed),
      create: async ({ data, seed, device }: StageContext) => {
        const { batchSize, accumulate, loss, restartEvery, restartUntil, deadBelow, steps } = train.tokenizer;
        const validation = await data("validation");
        const codec = trainableTokenizer(tokenizerConfig, { ...loss, perceptual: 0 });
        const task = new CodecTask(codec, loaderOf(recipe.data, await data("train"), batchSize, seed), {
          restartEvery,
          restartUntil: Math.floor(restartUntil * steps),
          deadBelow,
          seed,
        });
        const observe = (weights: Weights) => observeTokenizer(codec.tokenizer, weights, validation, device);
        return { task, observe, batchSize: batchSize * accumulate };
      },
    },
    {
      name: "transformer",
      steps: train.transformer.steps,
      options: trainerOptions(train.transformer, undecayed),
      create: async ({ data, seed, device, earlier, onProgress, signal }: StageContext) => {
        const { batchSize, accumulate, tokenImages } = train.transformer;
        const [set, validation] = [await data("train"), await data("validation")];
        const tokenizer = new VarTokenizer(Scope.root(tokenizerPrefix), tokenizerConfig);
        const request = {
          graph: tokenizeGraph(tokenizer),
          values: {},
          weights: earlier,
          plan: tokenizer.plan,
          pictureShape: [tokenizerConfig.inChannels, tokenizer.imageSize, tokenizer.imageSize],
          device,
          ...(signal && { signal }),
        };
        const tokens = await tokenise({
          ...request,
          loader: loaderOf(recipe.data, set, Math.min(32, set.length), seed),
          count: tokenImages,
          onProgress: (done) => onProgress("tokenising", done, tokenImages),
        });
        const count = Math.min(heldOut.transformer, validation.length);
        const inOrder = { batchSize: Math.min(32, count), seed: 0, shuffle: false };
        const heldOutTokens = await tokenise({
          ...request,
          loader: createLoader(validation, inOrder),
          count,
        });
        const config = modelConfig(recipe, set.classNames.length);
        const trainee = varTrainee(tokenizer, earlier, config.transformer);
        const programme = teacherForcing(tokenizer, trainee);
        const task = new ScaleWiseTask(trainee.model, programme, trainee.scope.specs, tokens, {
          batchSize,
          seed,
          plan: () => tokenizer.plan,
        });
        const observe = (weights: Weights) =>
          observeTransformer(
            describe(set),
            config,
            new Map([...earlier, ...weights]),
            heldOutTokens,
            validation,
            device,
          );
        return { task, observe, batchSize: batchSize * accumulate };
      },
    },
  ];
}
