/**
 * Arms of a contest of image models on one set: tokenizers, trainings of several seeds, guidance chosen by the same rule for
 * every side, samples judged from the same noise. Who takes part is handed in.
 */
import { composeContactSheet } from "../../data/contactSheet.ts";
import type { Arm, ArmContext } from "../../evaluate/claim/arms.node.ts";
import { type ClaimSetting, numberOf } from "../../evaluate/claim/claim.ts";
import { listed } from "../../evaluate/claim/followed.ts";
import { leastProduct } from "../../evaluate/claim/guidance.ts";
import { decodeModel, encodeModel } from "../../formats/modelFile.ts";
import type { Weights } from "../../nn/scope.ts";
import { withPrefix } from "../../regimen/multiScaleStages.ts";
import { reconstructPictures } from "../../regimen/reconstruct.ts";
import type { TokenCache } from "../../regimen/tokenSet.ts";
import { NextxError } from "../../tensor/errors.ts";
import { Judge, quickCount } from "../judging.ts";
import { stageContext, trained } from "../trainArm.ts";
import {
  type ContestOptions,
  contestNames,
  type Side,
  type SideTraining,
  type Tokenizer,
  type TrainedTokenizer,
} from "./side.ts";

/** Seeds of noise: samples that choose guidance share none with those that are judged. */
const noise = { guidance: 7_001, judging: 9_001 } as const;
const tokenizerSeed = 1;
const shown = 32;

const isTrained = (tokenizer: Tokenizer): tokenizer is TrainedTokenizer => "stage" in tokenizer;

/** What the arms share within a process. */
class ContestBench {
  readonly setting: ClaimSetting;
  readonly options: ContestOptions;
  readonly tokenizers: readonly Tokenizer[];
  /** Decides every training: each side's work may say how long another trains. */
  readonly training: unknown;
  readonly judge: Judge;
  readonly identities;
  readonly tokens: ReadonlyMap<string, TokenCache>;

  constructor(
    setting: ClaimSetting,
    options: ContestOptions,
    tokenizers: readonly Tokenizer[],
    training: unknown,
  ) {
    this.setting = setting;
    this.options = options;
    this.tokenizers = tokenizers;
    this.training = training;
    const networks = setting.features(options.set);
    this.identities = networks.identities;
    const held = () => setting.openData(options.set, options.size, "test");
    this.judge = new Judge(held, networks, options.samples);
    this.tokens = new Map(tokenizers.map(({ name }) => [name, new Map()]));
  }

  note(prefix: string): (text: string) => void {
    return (text) => this.setting.onProgress?.(`${prefix}: ${text}`);
  }

  /** Parameters of a tokenizer: an arm's, or those of the shipped model. */
  async tokenizerWeights(name: string, { model }: ArmContext): Promise<Weights> {
    const tokenizer = this.tokenizers.find((one) => one.name === name);
    if (!tokenizer)
      throw new NextxError("CLAIM_MISSING_ARM", `There is no tokenizer "${name}".`, { path: name });
    const file = isTrained(tokenizer)
      ? decodeModel(await model(contestNames.tokenizer(name)))
      : await this.setting.model(tokenizer.model);
    return withPrefix(file.weights, tokenizer.prefix);
  }

  /** Weights of the arms that trained a side, the one before it first. */
  async #trained(names: readonly string[], seed: number, { model }: ArmContext): Promise<Weights[]> {
    const files: Weights[] = [];
    for (const name of names) files.push(decodeModel(await model(contestNames.training(name, seed))).weights);
    return files;
  }

  async #joined(side: Side, names: readonly string[], seed: number, context: ArmContext): Promise<Weights> {
    const parts = [
      await this.tokenizerWeights(side.tokenizer, context),
      ...(await this.#trained(names, seed, context)),
    ];
    return new Map(parts.flatMap((part) => [...part]));
  }

  /** What a side's training begins with. */
  before(side: Side, seed: number, context: ArmContext): Promise<Weights> {
    return this.#joined(side, side.from ?? [], seed, context);
  }

  /** Everything that a side's model has. */
  weights(side: Side, seed: number, context: ArmContext): Promise<Weights> {
    return this.#joined(side, [...(side.from ?? []), ...(side.training ? [side.name] : [])], seed, context);
  }
}

function costArm(bench: ContestBench, sides: readonly Side[]): Arm {
  const counted = () =>
    Object.fromEntries(
      sides.flatMap(({ name, training }) => (training ? [[name, training.stepWork()]] : [])),
    );
  return {
    name: contestNames.cost,
    definition: { training: bench.training, version: 1 },
    run: async () => ({ numbers: counted() }),
    recompute: async () => ({ numbers: counted(), tolerance: 0 }),
  };
}

function tokenizerArm(bench: ContestBench, tokenizer: TrainedTokenizer): Arm {
  const { set, size } = bench.options;
  return {
    name: contestNames.tokenizer(tokenizer.name),
    definition: { ...tokenizer.recipe, seed: tokenizerSeed, version: 1 },
    run: async ({ signal }) => {
      const over = { seed: tokenizerSeed, earlier: new Map(), ...(signal && { signal }) };
      const context = stageContext(bench.setting, { set, size }, over);
      const note = bench.note(`tokenizer of ${tokenizer.name}`);
      const { weights, held, secondsPerStep, curve } = await trained(tokenizer.stage(), context, note);
      const model = encodeModel({ description: tokenizer.description, weights }, "F16");
      return { numbers: { secondsPerStep, curve, ...listed(held) }, model };
    },
  };
}

/** How well a tokenizer's round trip keeps held-out pictures, under the networks that judge samples. */
function roundTripArm(bench: ContestBench, tokenizer: TrainedTokenizer): Arm {
  const { data: _, ...recipe } = tokenizer.recipe;
  return {
    name: contestNames.roundTrip(tokenizer.name),
    definition: {
      ...{ ...recipe, seed: tokenizerSeed, samples: bench.options.samples },
      ...{ features: bench.identities, version: 1 },
    },
    run: async (context) => {
      const weights = await bench.tokenizerWeights(tokenizer.name, context);
      const { pictures } = await bench.judge.real();
      const round = { graph: tokenizer.roundTrip(), weights };
      const { device } = bench.setting;
      const pixels = await reconstructPictures(round, pictures.pixels, pictures.size, device, context.signal);
      return { numbers: await bench.judge.report({ ...pictures, pixels }, "", context.signal) };
    },
  };
}

function trainingArm(bench: ContestBench, side: Side, training: SideTraining, seed: number): Arm {
  const { set, size } = bench.options;
  return {
    name: contestNames.training(side.name, seed),
    ...extra(side),
    definition: { training: bench.training, side: side.name, seed, version: 1 },
    run: async (context) => {
      const work = (name: string) => numberOf(context.rows, contestNames.cost, name);
      const steps = training.steps(work);
      const tokens = bench.tokens.get(side.tokenizer);
      const over = {
        ...{ seed, earlier: await bench.before(side, seed, context) },
        ...(tokens && { tokens }),
        ...(context.signal && { signal: context.signal }),
      };
      const note = bench.note(`${side.name}, seed ${seed}`);
      const stage = stageContext(bench.setting, { set, size }, over);
      const { weights, held, secondsPerStep, curve } = await trained(training.stage(steps), stage, note);
      const kept = { description: side.description, weights: withPrefix(weights, training.prefix) };
      return {
        numbers: { steps, multiplyAdds: steps * work(side.name), secondsPerStep, curve, ...listed(held) },
        model: encodeModel(kept, "F16"),
      };
    },
  };
}

const extra = ({ isExtra }: Side): { readonly isExtra?: true } => (isExtra ? { isExtra } : {});

const judgedDefinition = ({ options, training, identities }: ContestBench, side: Side) => ({
  training,
  side: side.name,
  features: identities,
  guidance: [options.guidanceGrid, options.guidanceSamples, noise],
  ...(options.guidanceBy && { guidanceBy: options.guidanceBy }),
  ...(side.sampling && { sampling: side.sampling }),
  seeds: options.seeds[0],
});

/** Distances of the first seed's samples at every guidance weight, and the weight that they choose. */
function guidanceArm(bench: ContestBench, side: Side): Arm {
  const { guidanceGrid, guidanceSamples, guidanceBy, seeds } = bench.options;
  return {
    name: contestNames.guidance(side.name),
    ...extra(side),
    definition: { ...judgedDefinition(bench, side), version: 1 },
    run: async (context) => {
      using model = await side.open(await bench.weights(side, seeds[0] ?? 1, context), bench.setting.device);
      const sampling = {
        ...{ count: guidanceSamples, seed: noise.guidance, options: side.sampling ?? {} },
        ...(context.signal && { signal: context.signal }),
      };
      const tables = await bench.judge.guidanceTables(model, guidanceGrid, sampling, bench.note(side.name));
      const chosen = leastProduct(guidanceGrid, guidanceBy === "product" ? tables : tables.slice(0, 1));
      return {
        numbers: { chosen, ...Object.fromEntries(tables.map((table, i) => [`distance${i}`, table])) },
      };
    },
  };
}

/** Samples of one seed, with the side's guidance and without. */
function judgingArm(bench: ContestBench, side: Side, seed: number): Arm {
  const { options, judge, setting } = bench;
  /** `count` samples of the committed weights. */
  const drawn = async (context: ArmContext, cfgScale: number, count: number) => {
    using model = await side.open(await bench.weights(side, seed, context), setting.device);
    bench.note(`${side.name}, seed ${seed}`)(`${count} samples at guidance ${cfgScale}`);
    const stop = context.signal && { signal: context.signal };
    return await judge.samples(model, {
      count,
      seed: noise.judging,
      options: { ...side.sampling, cfgScale },
      ...stop,
    });
  };
  const chosenIn = ({ rows }: ArmContext) =>
    numberOf(rows, contestNames.guidance(side.guidanceOf ?? side.name), "chosen");
  return {
    name: contestNames.judging(side.name, seed),
    ...extra(side),
    definition: { ...judgedDefinition(bench, side), seed, samples: options.samples, version: 1 },
    run: async (context) => {
      const guidance = chosenIn(context);
      const guided = await drawn(context, guidance, options.samples);
      const unguided = guidance === 0 ? guided : await drawn(context, 0, options.samples);
      const sheet = () => {
        const count = Math.min(shown, guided.count);
        const some = guided.pixels.subarray(0, count * guided.size * guided.size * 3);
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

/**
 * All arms, seed by seed, so that a claim that was stopped early already compares all sides. A side that goes on from another
 * stands after it in `sides`. `training` is what decides the trainings, as JSON.
 */
export function contestArms(
  setting: ClaimSetting,
  options: ContestOptions,
  {
    tokenizers,
    sides,
    training,
  }: {
    readonly tokenizers: readonly Tokenizer[];
    readonly sides: readonly Side[];
    readonly training: unknown;
  },
): Arm[] {
  const bench = new ContestBench(setting, options, tokenizers, training);
  const own = tokenizers.filter(isTrained);
  const [first = 1, ...others] = options.seeds;
  const of = (seed: number) => sides.filter(({ seeds = options.seeds }) => seeds.includes(seed));
  const train = (seed: number) =>
    of(seed).flatMap((side) => (side.training ? [trainingArm(bench, side, side.training, seed)] : []));
  const judge = (seed: number) => of(seed).map((side) => judgingArm(bench, side, seed));
  return [
    costArm(bench, sides),
    ...own.map((tokenizer) => tokenizerArm(bench, tokenizer)),
    ...own.map((tokenizer) => roundTripArm(bench, tokenizer)),
    ...train(first),
    ...sides.filter(({ guidanceOf }) => guidanceOf === undefined).map((side) => guidanceArm(bench, side)),
    ...judge(first),
    ...others.flatMap((seed) => [...train(seed), ...judge(seed)]),
  ];
}
