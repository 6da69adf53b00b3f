/** VAR's two stages, tokenizer and transformer, with what is looked at between steps. */
import { composeContactSheet } from "../../data/contactSheet.ts";
import type { ImageSet } from "../../data/types.ts";
import { openPerceptualLoss } from "../../nn/perceptual.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { defaultAdamW } from "../../regimen/adamw.ts";
import { CodecTask } from "../../regimen/codecTask.ts";
import { firstPictures, followsRate, heldOut, roundTrip } from "../../regimen/observing.ts";
import { refineProgramme } from "../../regimen/refineMethods.ts";
import { type Programme, ScaleWiseTask, undecayed } from "../../regimen/scaleWiseTask.ts";
import { loaderOf, trainerOptions } from "../../regimen/stageRecipe.ts";
import type { ModelDescription, Observation, Stage, StageContext, StageRun } from "../../regimen/system.ts";
import type { TokenSet } from "../../regimen/tokenSet.ts";
import { tokenSplits } from "../../regimen/tokenSplits.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints } from "../../runtime/values.ts";
import { symbol } from "../../tensor/dims.ts";
import { int32 } from "../../tensor/tensor.ts";
import { perScale, tokenLosses } from "./objective.ts";
import { decodeGraph, tokenizeGraph } from "./programs.ts";
import type { VarRecipe } from "./recipe.ts";
import { teacherForcing, transformerPrefix, varTrainee } from "./scaleWise.ts";
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

function tokenizerStage(recipe: VarRecipe): Stage {
  const { tokenizer: stage } = recipe.train;
  return {
    name: "tokenizer",
    steps: stage.steps,
    options: trainerOptions(stage, defaultAdamW.undecayed),
    create: async ({ data, seed, device, readWeights }: StageContext) => {
      const { batchSize, accumulate, loss, restartEvery, restartUntil, deadBelow, steps } = stage;
      const validation = await data("validation");
      const perceptual = loss.perceptual > 0 ? await openPerceptualLoss(readWeights) : undefined;
      const codec = trainableTokenizer(recipe.tokenizer, loss, perceptual);
      const task = new CodecTask(
        codec,
        loaderOf(recipe.data, await data("train"), batchSize, seed),
        { restartEvery, restartUntil: Math.floor(restartUntil * steps), deadBelow, seed },
        perceptual?.weights,
      );
      const observe = (weights: Weights) => observeTokenizer(codec.tokenizer, weights, validation, device);
      return { task, observe, batchSize: batchSize * accumulate };
    },
  };
}

type TokenStage = Pick<VarRecipe["train"]["transformer"], "batchSize" | "accumulate" | "tokenImages">;

/** A stage over tokens of the frozen tokenizer. */
async function tokenStageRun(
  recipe: VarRecipe,
  { batchSize, accumulate, tokenImages }: TokenStage,
  describe: (set: ImageSet) => ModelDescription,
  context: StageContext,
  programmeOf: (tokenizer: VarTokenizer, trainee: ReturnType<typeof varTrainee>) => Programme,
): Promise<StageRun> {
  const { seed, device, earlier } = context;
  const frozen = new Map([...earlier].filter(([name]) => name.startsWith(tokenizerPrefix)));
  const tokenizer = new VarTokenizer(Scope.root(tokenizerPrefix), recipe.tokenizer);
  const request = {
    graph: tokenizeGraph(tokenizer),
    values: {},
    weights: frozen,
    plan: tokenizer.plan,
    pictureShape: [recipe.tokenizer.inChannels, tokenizer.imageSize, tokenizer.imageSize],
  };
  const { set, validation, tokens, heldOutTokens } = await tokenSplits(
    request,
    recipe.data,
    tokenImages,
    context,
  );
  const config = modelConfig(recipe, set.classNames.length);
  const trainee = varTrainee(tokenizer, frozen, config.transformer);
  const programme = programmeOf(tokenizer, trainee);
  const task = new ScaleWiseTask(trainee.model, programme, trainee.scope.specs, tokens, {
    batchSize,
    seed,
    plan: () => tokenizer.plan,
    initial: new Map([...earlier].filter(([name]) => name.startsWith(transformerPrefix))),
  });
  const observe = (weights: Weights) => {
    const all = new Map([...frozen, ...weights]);
    return observeTransformer(describe(set), config, all, heldOutTokens, validation, device);
  };
  return { task, observe, batchSize: batchSize * accumulate };
}

/** The programme of a recipe. */
export function varStages(
  recipe: VarRecipe,
  describe: (set: ImageSet) => ModelDescription,
): readonly Stage[] {
  const { transformer, refine } = recipe.train;
  const base: Stage = {
    name: "transformer",
    steps: transformer.steps,
    options: trainerOptions(transformer, undecayed),
    create: (context) => tokenStageRun(recipe, transformer, describe, context, teacherForcing),
  };
  if (refine === undefined || refine.steps === 0) return [tokenizerStage(recipe), base];
  const refinement: Stage = {
    name: "refine",
    steps: refine.steps,
    options: trainerOptions(refine, undecayed),
    create: (context) =>
      tokenStageRun(recipe, refine, describe, context, (_, trainee) => refineProgramme(trainee, refine)),
  };
  return [tokenizerStage(recipe), base, refinement];
}
