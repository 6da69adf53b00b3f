/**
 * Time and work of a scale-wise transformer against the next-token one: same blocks, both cached, same guidance. Random
 * weights suffice: neither time nor work depends on them. The decoder, which both need once, is left out.
 */

import { advanceGraph } from "../../codec/multiScalePrograms.ts";
import { startGraph, stepGraph } from "../../decoding/groupPrograms.ts";
import type { CachedModel } from "../../decoding/types.ts";
import type { Arm } from "../../evaluate/claim/arms.node.ts";
import { initialise } from "../../nn/scope.ts";
import { publishedSides } from "../../plan/publishedSides.ts";
import type { Plan } from "../../plan/types.ts";
import { tokenizerSchema, transformerSchema } from "../../regimen/multiScaleConfig.ts";
import { codebookName } from "../../regimen/multiScaleModel.ts";
import { multiplyAdds } from "../../runtime/cost.ts";
import type { Device } from "../../runtime/device.ts";
import { VarGenerator } from "../../systems/var/generate.ts";
import { varRecipes } from "../../systems/var/recipe.ts";
import { varSystem } from "../../systems/var/system.ts";
import { buildVar } from "../../systems/var/varModel.ts";
import { RandomStream } from "../../tensor/random.ts";
import { singleScale } from "../raster/config.ts";
import { nextInputGraph, RasterGenerator } from "../raster/generate.ts";
import { buildRaster } from "../raster/model.ts";
import { rasterParameters } from "../raster/rasterModel.ts";
import { countResults, type Generate, measureTime, timed } from "../timing.ts";

/** Schedules by the side of their finest map: the shipped models', and the official one of 256 px. */
export const schedules: Readonly<Record<number, readonly number[]>> = {
  8: [1, 2, 3, 4, 6, 8],
  16: publishedSides[256],
};
/** Images at once. */
export const batches = [1, 8, 32] as const;
const repeats = 5;
const numClasses = 16;
const sampling = { cfgScale: 1.5, topK: 0, topP: 0.96, temperature: 1 };

/** The configuration whose time is measured: that of the shipped models, with another schedule. */
function pairOf(side: number) {
  const { tokenizer, transformer } = varRecipes["synth-32"].recipe;
  const patchNums = schedules[side] ?? [side];
  const codec = tokenizerSchema.parse({ ...tokenizer, patchNums: [...patchNums] });
  const shared = { ...transformer, numClasses };
  return {
    scaleWise: {
      tokenizer: codec,
      transformer: transformerSchema.parse({ ...shared, patchNums: [...patchNums] }),
    },
    raster: {
      tokenizer: tokenizerSchema.parse(singleScale(codec)),
      transformer: transformerSchema.parse({ ...shared, patchNums: [side] }),
    },
  };
}

/** Multiply-adds of guided generation of one image, without the decoder. */
function generationWork(model: CachedModel, plan: Plan, between: number): number {
  const work = (
    graph: { outputs: Parameters<typeof multiplyAdds>[0] | object },
    symbols: [string, number][],
  ) => multiplyAdds(Object.values(graph.outputs), new Map(symbols));
  const step = stepGraph(model, 2);
  const firstSize = plan.groups[0]?.size ?? 1;
  return plan.groups.reduce(
    (total, { size, start }) =>
      total +
      work(step, [
        ["B", 1],
        ["N", size],
        ["M", start],
      ]),
    work(startGraph(model, 2, firstSize), [["B", 1]]) + between,
  );
}

/** Work between passes: from the tokens of a group to the input of the next. */
function betweenWork(side: number): { scaleWise: number; raster: number } {
  const { scaleWise, raster } = pairOf(side);
  const { tokenizer, transformer } = buildVar(scaleWise);
  const advance = Object.values(advanceGraph(tokenizer, transformer).outputs);
  const { groups } = tokenizer.plan;
  const ofVar = groups.reduce((total, { index, size }) => {
    const symbols = { B: 1, N: size, K: groups[index + 1]?.size ?? 0 };
    return total + multiplyAdds(advance, new Map(Object.entries(symbols)));
  }, 0);
  const next = nextInputGraph(buildRaster(raster).transformer, raster.tokenizer.zChannels);
  const each = multiplyAdds(Object.values(next.outputs), new Map([["B", 1]]));
  return { scaleWise: ofVar, raster: each * (side * side - 1) };
}

/** Both sides over random weights on a timed device. Dispose when done. */
function openPair(side: number, device: Device) {
  const { scaleWise, raster } = pairOf(side);
  const draw = (specs: Parameters<typeof initialise>[0]) => initialise(specs, RandomStream.from(1, "speed"));
  const description = { system: "var", config: scaleWise, classNames: [], imageSize: 4 * side };
  const ours = buildVar(scaleWise);
  const theirs = buildRaster(raster);
  const own = draw(varSystem.parameters(description));
  const scales = new VarGenerator(ours.tokenizer, ours.transformer, own, codebookName, device);
  const width = raster.tokenizer.zChannels;
  const tokens = new RasterGenerator(theirs.transformer, width, draw(rasterParameters(raster)), device);
  const stop = (signal?: AbortSignal) => (signal ? { signal } : {});
  const generate: Readonly<Record<"var" | "raster", Generate>> = {
    var: (labels, streams, signal) =>
      countResults(scales.generate(labels, { ...sampling, smooth: false, ...stop(signal) }, { streams })),
    raster: (labels, streams, signal) =>
      countResults(tokens.generate(labels, { ...sampling, ...stop(signal) }, streams)),
  };
  const between = betweenWork(side);
  return {
    generate,
    work: {
      var: generationWork(ours.transformer, ours.transformer.plan, between.scaleWise),
      raster: generationWork(theirs.transformer, theirs.transformer.plan, between.raster),
    },
    [Symbol.dispose]: () => {
      scales[Symbol.dispose]();
      tokens[Symbol.dispose]();
    },
  };
}

/** Passes and work, which are exact. */
async function counted(side: number, device: Device): Promise<Record<string, number>> {
  using pair = openPair(side, device);
  const one = [RandomStream.from(1, "speed")];
  return {
    passesVar: await pair.generate.var(Int32Array.of(0), one),
    passesRaster: await pair.generate.raster(Int32Array.of(0), [RandomStream.from(1, "speed")]),
    multiplyAddsVar: pair.work.var,
    multiplyAddsRaster: pair.work.raster,
  };
}

/** Passes, work and time on a `side` x `side` map at 1, 8 and 32 images. To be run on a quiet machine. */
export function speedArm(side: number, device: Device, onProgress?: (text: string) => void): Arm {
  return {
    name: `speed-${side}`,
    definition: { pair: pairOf(side), batches, repeats, sampling, weights: "random", version: 1 },
    run: async ({ signal }) => {
      const clock = timed(device);
      using pair = openPair(side, clock.device);
      const numbers: Record<string, number | number[]> = await counted(side, device);
      for (const [name, generate] of Object.entries(pair.generate)) {
        const rows: Awaited<ReturnType<typeof measureTime>>[] = [];
        for (const images of batches) {
          onProgress?.(`${side} x ${side}, ${name}, ${images} images`);
          const timing = { images, repeats, numClasses, ...(signal && { signal }) };
          rows.push(await measureTime(generate, clock.take, timing));
        }
        numbers[`${name}Ms`] = rows.map(({ ms }) => ms);
        numbers[`${name}WallMs`] = rows.map(({ wallMs }) => wallMs);
        numbers[`${name}Spread`] = rows.map(({ spread }) => spread);
      }
      return { numbers };
    },
    recompute: async () => ({ numbers: await counted(side, device), tolerance: 0 }),
  };
}
