/**
 * Arms of the comparison of quality: both tokenizers for the same steps, both transformers for the same multiply-adds, three
 * seeds, guidance chosen by the same rule, 10,000 samples each.
 */

import { composeContactSheet } from "../../data/contactSheet.ts";
import type { Arm, ArmContext } from "../../evaluate/claim/arms.node.ts";
import { type ClaimSetting, numberOf } from "../../evaluate/claim/claim.ts";
import { decodeModel, encodeModel } from "../../formats/modelFile.ts";
import type { RgbImage } from "../../formats/png.ts";
import type { Weights } from "../../nn/scope.ts";
import { tokenizerPrefix } from "../../regimen/multiScaleModel.ts";
import { reconstructPictures } from "../../regimen/reconstruct.ts";
import type { TokenCache } from "../../regimen/tokenSet.ts";
import { transformerPrefix } from "../../systems/var/scaleWise.ts";
import { Judge, quickCount } from "../judging.ts";
import { rasterPrefix } from "../raster/model.ts";
import { listed, stageContext, trained } from "../trainArm.ts";
import { type PairOptions, type Side, sidesOf } from "./sides.ts";

export interface QualityOptions extends PairOptions {
  readonly seeds: readonly number[];
  /** Judged samples, and held-out pictures that they are compared with. */
  readonly samples: number;
  readonly guidanceGrid: readonly number[];
  readonly guidanceSamples: number;
}

export const qualityNames = {
  cost: "pair-cost",
  tokenizer: (side: string) => `tokenizer-${side}`,
  roundTrip: (side: string) => `roundtrip-${side}`,
  training: (side: string, seed: number) => `pair-${side}-${seed}`,
  guidance: (side: string) => `guidance-${side}`,
  judging: (side: string, seed: number) => `judged-${side}-${seed}`,
};

const set = { set: "synth", size: 32 } as const;
/** Seeds of noise: samples that choose guidance share none with those that are judged. */
const noise = { guidance: 7_001, judging: 9_001 } as const;
const tokenizerSeed = 1;
const shown = 32;

const withPrefix = (weights: Weights, prefix: string): Weights =>
  new Map([...weights].filter(([name]) => name.startsWith(prefix)));

/** What the arms share within a process. */
class QualityBench {
  readonly setting: ClaimSetting;
  readonly options: QualityOptions;
  readonly judge: Judge;
  readonly identities;
  /** One per side: their tokenizers differ. */
  readonly tokens: ReadonlyMap<Side["name"], TokenCache> = new Map([
    ["var", new Map()],
    ["raster", new Map()],
  ]);

  constructor(setting: ClaimSetting, options: QualityOptions) {
    this.setting = setting;
    this.options = options;
    const networks = setting.features(set.set);
    this.identities = networks.identities;
    this.judge = new Judge(() => setting.openData(set.set, set.size, "test"), networks, options.samples);
  }

  note(prefix: string): (text: string) => void {
    return (text) => this.setting.onProgress?.(`${prefix}: ${text}`);
  }

  /** What decides a training: both sides' recipes, since the other's work says how many steps there are. */
  training(): unknown {
    return sidesOf(this.options).map((side) => side.recipe(this.options.transformerSteps));
  }
}

function costArm(bench: QualityBench, sides: readonly Side[]): Arm {
  const counted = () => Object.fromEntries(sides.map((side) => [side.name, side.stepWork()]));
  return {
    name: qualityNames.cost,
    definition: { training: bench.training(), version: 1 },
    run: async () => ({ numbers: counted() }),
    recompute: async () => ({ numbers: counted(), tolerance: 0 }),
  };
}

function tokenizerArm(bench: QualityBench, side: Side): Arm {
  const { train, tokenizer, data } = side.recipe(1);
  return {
    name: qualityNames.tokenizer(side.name),
    definition: { data, tokenizer, train: train.tokenizer, seed: tokenizerSeed, version: 1 },
    run: async ({ signal }) => {
      const over = { seed: tokenizerSeed, earlier: new Map(), ...(signal && { signal }) };
      const context = stageContext(bench.setting, set, over);
      const note = bench.note(`tokenizer of ${side.name}`);
      const { weights, held, secondsPerStep, curve } = await trained(side.tokenizerStage(), context, note);
      const model = encodeModel({ description: side.description, weights }, "F16");
      return { numbers: { secondsPerStep, curve, ...listed(held) }, model };
    },
  };
}

/** How well a tokenizer's round trip keeps held-out pictures, under the networks that judge samples. */
function roundTripArm(bench: QualityBench, side: Side): Arm {
  const { train, tokenizer } = side.recipe(1);
  const measured = async ({ model, signal }: ArmContext) => {
    const { weights } = decodeModel(await model(qualityNames.tokenizer(side.name)));
    const { pictures } = await bench.judge.real();
    const round = { graph: side.roundTrip(), weights };
    const { device } = bench.setting;
    const pixels = await reconstructPictures(round, pictures.pixels, pictures.size, device, signal);
    return { ...pictures, pixels };
  };
  return {
    name: qualityNames.roundTrip(side.name),
    definition: {
      ...{ tokenizer, train: train.tokenizer, seed: tokenizerSeed, samples: bench.options.samples },
      ...{ features: bench.identities, version: 1 },
    },
    run: async (context) => ({
      numbers: await bench.judge.report(await measured(context), "", context.signal),
    }),
  };
}

function trainingArm(bench: QualityBench, side: Side, seed: number): Arm {
  const prefix = side.name === "var" ? transformerPrefix : rasterPrefix;
  return {
    name: qualityNames.training(side.name, seed),
    definition: { training: bench.training(), side: side.name, seed, version: 1 },
    run: async ({ rows, model, signal }) => {
      const allowed = bench.options.transformerSteps * numberOf(rows, qualityNames.cost, "var");
      const own = numberOf(rows, qualityNames.cost, side.name);
      const steps = Math.round(allowed / own);
      const tokenizer = decodeModel(await model(qualityNames.tokenizer(side.name)));
      const tokens = bench.tokens.get(side.name);
      const context = stageContext(bench.setting, set, {
        ...{ seed, earlier: withPrefix(tokenizer.weights, tokenizerPrefix) },
        ...(tokens && { tokens }),
        ...(signal && { signal }),
      });
      const note = bench.note(`${side.name}, seed ${seed}`);
      const { weights, held, secondsPerStep, curve } = await trained(
        side.transformerStage(steps),
        context,
        note,
      );
      const kept = { description: side.description, weights: withPrefix(weights, prefix) };
      return {
        numbers: { steps, multiplyAdds: steps * own, secondsPerStep, curve, ...listed(held) },
        model: encodeModel(kept, "F16"),
      };
    },
  };
}

/** Tokenizer and transformer of a side as one model's weights. */
async function weightsOf({ model }: ArmContext, side: Side, seed: number): Promise<Weights> {
  const tokenizer = decodeModel(await model(qualityNames.tokenizer(side.name)));
  const transformer = decodeModel(await model(qualityNames.training(side.name, seed)));
  return new Map([...withPrefix(tokenizer.weights, tokenizerPrefix), ...transformer.weights]);
}

const judgedDefinition = (bench: QualityBench, side: Side) => ({
  training: bench.training(),
  side: side.name,
  features: bench.identities,
  guidance: [bench.options.guidanceGrid, bench.options.guidanceSamples, noise],
  seeds: bench.options.seeds[0],
});

/** Distance of the first seed's samples at every guidance weight; the least under the first network is chosen. */
function guidanceArm(bench: QualityBench, side: Side): Arm {
  const { guidanceGrid, guidanceSamples, seeds } = bench.options;
  return {
    name: qualityNames.guidance(side.name),
    definition: { ...judgedDefinition(bench, side), version: 1 },
    run: async (context) => {
      const weights = await weightsOf(context, side, seeds[0] ?? 1);
      using model = await side.open(weights, bench.setting.device);
      const tables: number[][] = [];
      for (const cfgScale of guidanceGrid) {
        bench.note(`guidance of ${side.name}`)(`${guidanceSamples} samples at ${cfgScale}`);
        const samples = await bench.judge.samples(model, {
          ...{ count: guidanceSamples, seed: noise.guidance, cfgScale },
          ...(context.signal && { signal: context.signal }),
        });
        for (const [i, distance] of (await bench.judge.distances(samples, context.signal)).entries()) {
          tables[i] ??= [];
          tables[i].push(distance);
        }
      }
      const [deciding = []] = tables;
      const chosen = guidanceGrid[deciding.indexOf(Math.min(...deciding))] ?? 0;
      return {
        numbers: { chosen, ...Object.fromEntries(tables.map((table, i) => [`distance${i}`, table])) },
      };
    },
  };
}

/** Samples of one seed, with the side's guidance and without. */
function judgingArm(bench: QualityBench, side: Side, seed: number): Arm {
  const { options, judge, setting } = bench;
  /** `count` samples of the committed weights. */
  const drawn = async (context: ArmContext, cfgScale: number, count: number) => {
    using model = await side.open(await weightsOf(context, side, seed), setting.device);
    bench.note(`${side.name}, seed ${seed}`)(`${count} samples at guidance ${cfgScale}`);
    const stop = context.signal && { signal: context.signal };
    return judge.samples(model, { count, seed: noise.judging, cfgScale, ...stop });
  };
  const chosenIn = ({ rows }: ArmContext) => numberOf(rows, qualityNames.guidance(side.name), "chosen");
  return {
    name: qualityNames.judging(side.name, seed),
    definition: { ...judgedDefinition(bench, side), seed, samples: options.samples, version: 1 },
    run: async (context) => {
      const guidance = chosenIn(context);
      const guided = await drawn(context, guidance, options.samples);
      const unguided = guidance === 0 ? guided : await drawn(context, 0, options.samples);
      const sheet = (): RgbImage => {
        const count = Math.min(shown, guided.count);
        const length = guided.size * guided.size * 3;
        const some = guided.pixels.subarray(0, count * length);
        return composeContactSheet(some, count, guided.size, { columns: 8, scale: 2 });
      };
      return {
        numbers: {
          guidance,
          ...(await judge.report(guided, "", context.signal)),
          ...(await judge.report(unguided, "Unguided", context.signal)),
        },
        ...(seed === options.seeds[0] && { pictures: { samples: sheet() } }),
      };
    },
    recompute: async (context) => {
      const count = Math.min(quickCount, options.samples);
      const samples = await drawn(context, chosenIn(context), count);
      const distances = await judge.distances(samples, context.signal);
      return {
        numbers: Object.fromEntries(distances.map((distance, i) => [`quickDistance${i}`, distance])),
        tolerance: 0.02,
      };
    },
  };
}

/** All arms, seed by seed, so that a claim that was stopped early already compares both sides. */
export function qualityArms(setting: ClaimSetting, options: QualityOptions): Arm[] {
  const bench = new QualityBench(setting, options);
  const sides = sidesOf(options);
  const [first = 1, ...others] = options.seeds;
  const train = (seed: number) => sides.map((side) => trainingArm(bench, side, seed));
  const judge = (seed: number) => sides.map((side) => judgingArm(bench, side, seed));
  return [
    costArm(bench, sides),
    ...sides.map((side) => tokenizerArm(bench, side)),
    ...sides.map((side) => roundTripArm(bench, side)),
    ...train(first),
    ...sides.map((side) => guidanceArm(bench, side)),
    ...judge(first),
    ...others.flatMap((seed) => [...train(seed), ...judge(seed)]),
  ];
}
