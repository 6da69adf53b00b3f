/**
 * How much worse the next cell's velocity gets when the clean cells before it are not quite clean: held-out latents with
 * noise of several deviations as context, fed at time 0 as in generation. The same noise for all sides.
 */
import { cleanPast, trainingOrder } from "../../context/noisyPast.ts";
import { inOrder } from "../../data/loader.ts";
import type { Arm, ArmContext } from "../../evaluate/claim/arms.node.ts";
import type { ClaimSetting } from "../../evaluate/claim/claim.ts";
import { decodeModel } from "../../formats/modelFile.ts";
import { flowLoss, logitNormalTime, meanWeights, onPath, pathVelocity } from "../../head/flowMatching.ts";
import type { Weights } from "../../nn/scope.ts";
import { arrangeAll } from "../../plan/entities.ts";
import { KlCodec } from "../../regimen/klCodec.ts";
import { drawFromSet, encodeLatents } from "../../regimen/latentSet.ts";
import { compile } from "../../runtime/program.ts";
import { type Graph, trace } from "../../runtime/trace.ts";
import { floats, ints } from "../../runtime/values.ts";
import { buildXar } from "../../systems/xar/build.ts";
import type { XarModelConfig } from "../../systems/xar/config.ts";
import { flowSpecs, timeValues } from "../../systems/xar/objective.ts";
import { symbol } from "../../tensor/dims.ts";
import { concat, slice } from "../../tensor/ops/structure.ts";
import { RandomStream } from "../../tensor/random.ts";
import { float32, type Tensor } from "../../tensor/tensor.ts";
import { contestNames } from "../contest/side.ts";
import { tokenizerName } from "./sides.ts";

export interface RobustnessOptions {
  /** Held-out pictures. */
  readonly pictures: number;
  /** Deviations of the context's noise, 0 first; latents have a deviation of 1. */
  readonly sigmas: readonly number[];
}

const batchSize = 64;

export const robustnessName = (side: string, seed: number): string => `robust-${side}-${seed}`;

/** Velocity errors per cell [G] given a context [B, clean sites, D] of its own. */
function contextGraph(config: XarModelConfig): Graph {
  const { transformer: model } = buildXar(config);
  const { plan, valueWidth } = model;
  const order = trainingOrder(cleanPast, plan);
  const context = float32(symbol("B"), order.clean, valueWidth);
  return trace({ ...flowSpecs(model, cleanPast), context }, (inputs: Readonly<Record<string, Tensor>>) => {
    const get = (name: string) => inputs[name] as Tensor; // declared above
    const noisy = onPath(get("latents"), get("noise"), get("times"));
    const x = concat([get("context"), noisy], 1);
    const noisyPart = model.whole(order, x, get("labels"), get("waves")).velocity;
    const velocity = slice(noisyPart, 1, order.clean, order.length);
    const target = pathVelocity(get("latents"), get("noise"));
    return { errors: flowLoss(velocity, target, plan, meanWeights(plan)).groupLosses };
  });
}

/** Mean error of all cells but the first, for every deviation. */
async function errorsOf(
  config: XarModelConfig,
  weights: Weights,
  { setting, options, signal }: { setting: ClaimSetting; options: RobustnessOptions; signal?: AbortSignal },
): Promise<number[]> {
  const { transformer: model, tokenizer } = buildXar(config);
  const { plan, valueWidth } = model;
  const held = await setting.openData("synth", tokenizer.imageSize, "test");
  const count = Math.min(options.pictures, held.length);
  const loader = inOrder(held, batchSize);
  using codec = new KlCodec(tokenizer, weights, setting.device);
  const set = await encodeLatents({ codec, loader, count, ...(signal && { signal }) });
  using program = await compile(contextGraph(config), { device: setting.device, weights });
  const totals = options.sigmas.map(() => 0);
  const { clean } = trainingOrder(cleanPast, plan);
  for (let first = 0; first < count; first += batchSize) {
    const stream = RandomStream.from(0, `robustness/${first}`);
    const pictures = Array.from({ length: Math.min(batchSize, count - first) }, (_, i) => first + i);
    const batch = pictures.length;
    const maps = drawFromSet(set, pictures, stream).data as Float32Array; // latents are float32
    const latents = arrangeAll(plan, maps, batch);
    const shape = [batch, plan.length, valueWidth];
    const times = Float32Array.from({ length: batch * plan.groups.length }, () => logitNormalTime(stream));
    const given = {
      labels: ints(set.labels.slice(first, first + batch), [batch]),
      ...{ latents: floats(latents, shape), noise: floats(stream.normals(latents.length), shape) },
      ...timeValues(plan, cleanPast, times),
    };
    const part = clean * valueWidth;
    const bare = Float32Array.from({ length: batch * part }, (_, i) => {
      const at = Math.floor(i / part) * plan.length * valueWidth + (i % part);
      return latents[at] as number; // in range
    });
    const shift = stream.normals(bare.length);
    for (const [i, sigma] of options.sigmas.entries()) {
      const noised = bare.map((value, at) => value + sigma * (shift[at] as number)); // same length
      const context = floats(noised, [batch, clean, valueWidth]);
      const { errors } = await program.run({ ...given, context });
      const later = Array.from(errors?.data ?? []).slice(1);
      totals[i] = (totals[i] as number) + (batch * later.reduce((a, b) => a + b, 0)) / later.length; // one per deviation
    }
  }
  return totals.map((total) => total / count);
}

/** Numbers: `error` per deviation, and `rise`, the last above the first. */
export function robustnessArm(
  setting: ClaimSetting,
  side: { readonly name: string; readonly config: XarModelConfig },
  seed: number,
  options: RobustnessOptions,
  training: unknown,
): Arm {
  const measure = async (context: ArmContext) => {
    const files = [contestNames.tokenizer(tokenizerName), contestNames.training(side.name, seed)];
    const weights: Weights = new Map();
    for (const file of files)
      for (const [name, value] of decodeModel(await context.model(file)).weights) weights.set(name, value);
    setting.onProgress?.(`context with noise, ${side.name}, seed ${seed}`);
    const { signal } = context;
    const error = await errorsOf(side.config, weights, { setting, options, ...(signal && { signal }) });
    return error;
  };
  return {
    name: robustnessName(side.name, seed),
    definition: { training, side: side.name, seed, ...options, version: 1 },
    run: async (context) => {
      const error = await measure(context);
      return { numbers: { error, rise: (error.at(-1) ?? 0) - (error[0] ?? 0) } };
    },
    recompute: async (context) => ({ numbers: { error: await measure(context) }, tolerance: 0.02 }),
  };
}
