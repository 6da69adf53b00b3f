/**
 * `nextx bench growth`: time and memory of VAR against depth, tokens and pictures drawn together, each point in a process of
 * its own, with the exponents of fitted power laws; the decoder alone beside. Sizes are VAR-d16's width with fewer blocks.
 */

import { join } from "node:path";
import { z } from "zod";
import { throwIfAborted } from "../../decoding/loop.ts";
import { type PowerFit, powerFit } from "../../evaluate/claim/powerFit.ts";
import { packageRoot } from "../../models.node.ts";
import { downsampleFactor } from "../../nn/convAutoencoder.ts";
import { publishedSides } from "../../plan/publishedSides.ts";
import { outputOf } from "../../programOutput.node.ts";
import {
  officialTransformer,
  smokeMultiScale,
  tokenizerSchema,
  transformerSchema,
} from "../../regimen/multiScaleConfig.ts";
import { openDevice } from "../../runtime/device.node.ts";
import { varSystem } from "../../systems/var/system.ts";
import { workFolder, writeRandomModel } from "./benchModel.ts";
import { sideBySide } from "./settings.ts";
import type { Bench, BenchFlags } from "./types.ts";

/** A size that is measured. */
interface Size {
  readonly depth: number;
  /** Sides of the scales. */
  readonly sides: readonly number[];
  readonly pictures: number;
}

const axes = ["depth", "tokens", "pictures"] as const;
type Axis = (typeof axes)[number];
type Plan = Readonly<Record<Axis, readonly Size[]>>;

const tokensOf = (sides: readonly number[]): number => sides.reduce((sum, side) => sum + side * side, 0);
const along = { depth: (size: Size) => size.depth, tokens: (size: Size) => tokensOf(size.sides) };
const placeOf = (axis: Axis, size: Size): number => (axis === "pictures" ? size.pictures : along[axis](size));

/** Published schedules, and their beginnings. */
const { 256: sides256, 512: sides512 } = publishedSides;

const fullPlan: Plan = {
  depth: [2, 4, 8, 16].map((depth) => ({ depth, sides: sides256, pictures: 1 })),
  tokens: [sides256.slice(0, 4), sides256.slice(0, 7), sides256, sides512].map((sides) => ({
    ...{ depth: 4, sides, pictures: 1 },
  })),
  pictures: [1, 2, 4, 8].map((pictures) => ({ depth: 4, sides: sides256, pictures })),
};

const trialPlan: Plan = {
  depth: [1, 2].map((depth) => ({ depth, sides: [1, 2, 4], pictures: 1 })),
  tokens: [
    [1, 2],
    [1, 2, 4],
  ].map((sides) => ({ depth: 1, sides, pictures: 1 })),
  pictures: [1, 2].map((pictures) => ({ depth: 1, sides: [1, 2, 4], pictures })),
};

function configOf({ depth, sides }: Size, isTrial: boolean) {
  const patchNums = [...sides];
  if (!isTrial) {
    const transformer = { ...officialTransformer(16, patchNums), depth };
    return { tokenizer: tokenizerSchema.parse({ patchNums }), transformer };
  }
  const small = { depth, embedDim: 32, numHeads: 2, numClasses: 4, patchNums };
  return {
    tokenizer: tokenizerSchema.parse({ ...smokeMultiScale, patchNums }),
    transformer: transformerSchema.parse(small),
  };
}

const measuredSchema = z.object({ ms: z.number(), decoderMs: z.number(), peakBytes: z.number() });

/** What a size took. */
interface Point extends Size, z.infer<typeof measuredSchema> {
  readonly tokens: number;
  readonly pixels: number;
  /** Without the decoder. */
  readonly restMs: number;
}

async function measured(size: Size, flags: BenchFlags): Promise<Point> {
  const { device, threads, steps = 3, signal, trial = false } = flags;
  throwIfAborted(signal);
  using folder = workFolder();
  const config = configOf(size, trial);
  const pixels = Math.max(...size.sides) * downsampleFactor(config.tokenizer);
  const { numClasses } = config.transformer;
  const path = join(folder.path, "model.safetensors");
  await writeRandomModel(varSystem, { config, imageSize: pixels, numClasses }, path, signal);
  const settings = JSON.stringify(sideBySide);
  const args = Object.entries({ device, threads, steps, settings, pictures: size.pictures });
  const words = args.flatMap(([name, value]) => [`--${name}`, String(value)]);
  const bin = join(packageRoot(), "bin", "nextx.js");
  const out = await outputOf(process.execPath, [bin, "bench", "growth-once", path, ...words, "--json"], path);
  const times = measuredSchema.parse(JSON.parse(out)); // our own command
  const restMs = times.ms - times.decoderMs;
  return { ...size, tokens: tokensOf(size.sides), pixels, ...times, restMs };
}

/** None where a number is not above 0: of tiny sizes, what is left without the decoder is noise. */
function fitOf(x: readonly number[], y: readonly number[]): PowerFit | undefined {
  return y.every((value) => value > 0) ? powerFit(x, y) : undefined;
}

const quantities = ["ms", "restMs", "decoderMs", "peakBytes"] as const;

/** Exponents of what was measured along an axis. */
function growthOf(axis: Axis, points: readonly Point[]) {
  const x = points.map((point) => placeOf(axis, point));
  const fits = quantities.map((name) => {
    const y = points.map((point) => point[name]);
    return [name, fitOf(x, y)] as const;
  });
  return {
    points,
    fits: Object.fromEntries(fits) as Record<(typeof quantities)[number], PowerFit | undefined>,
  };
}

const pointLine = (axis: Axis, point: Point): string =>
  `  ${axis} ${placeOf(axis, point)}: ${point.ms.toFixed(0)} ms, of it the decoder ${point.decoderMs.toFixed(0)} ms; peak ${(point.peakBytes / 2 ** 20).toFixed(0)} MiB (depth ${point.depth}, ${point.tokens} tokens, ${point.pixels} px, ${point.pictures} pictures)`;

const exponentText = (fit: PowerFit | undefined): string =>
  fit === undefined ? "-" : `${fit.exponent.toFixed(2)} (${fit.standardError.toFixed(2)})`;

function axisLines(axis: Axis, { points, fits }: ReturnType<typeof growthOf>): string[] {
  const { ms, restMs, decoderMs, peakBytes } = fits;
  return [
    `with ${axis}: exponent of time ${exponentText(ms)}, without decoder ${exponentText(restMs)}, decoder ${exponentText(decoderMs)}, peak memory ${exponentText(peakBytes)}`,
    ...points.map((point) => pointLine(axis, point)),
  ];
}

export const growthBench: Bench = async (flags) => {
  const plan = flags.trial ? trialPlan : fullPlan;
  const known = new Map<string, Point>();
  const growth: [Axis, ReturnType<typeof growthOf>][] = [];
  for (const axis of axes) {
    const points: Point[] = [];
    for (const size of plan[axis]) {
      const key = JSON.stringify([size.depth, size.sides, size.pictures]);
      const point = known.get(key) ?? (await measured(size, flags));
      known.set(key, point);
      points.push(point);
    }
    growth.push([axis, growthOf(axis, points)]);
  }
  return {
    device: await openDevice(flags),
    numbers: { trial: flags.trial === true, settings: sideBySide, growth: Object.fromEntries(growth) },
    lines: [
      ...(flags.trial ? ["A trial: tiny sizes. Its figures prove nothing."] : []),
      ...growth.flatMap(([axis, along]) => axisLines(axis, along)),
    ],
  };
};
