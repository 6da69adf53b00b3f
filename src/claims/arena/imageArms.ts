/**
 * Arms of the arena of image models: tokenizers, one training per contestant for as long as the budget says, samples judged
 * from the same noise, and what sampling costs. The budget is time: how many steps fit is measured on this machine first.
 */
import { composeContactSheet } from "../../data/contactSheet.ts";
import type { ImageSet } from "../../data/types.ts";
import { median } from "../../evaluate/bench/engine.ts";
import type { Arm, ArmContext } from "../../evaluate/claim/arms.node.ts";
import { type ClaimSetting, numberOf } from "../../evaluate/claim/claim.ts";
import { leastProduct } from "../../evaluate/claim/guidance.ts";
import { decodeModel, encodeModel, type ModelFile } from "../../formats/modelFile.ts";
import type { Weights } from "../../nn/scope.ts";
import { withPrefix } from "../../regimen/multiScaleStages.ts";
import type { Stage, StageContext } from "../../regimen/system.ts";
import type { TokenCache } from "../../regimen/tokenSet.ts";
import { trainStage } from "../../regimen/trainStage.ts";
import { Judge } from "../judging.ts";
import { timed } from "../timing.ts";
import { stageContext, trained } from "../trainArm.ts";
import {
  type ArenaTokenizer,
  arenaData,
  type Contestant,
  Entrant,
  type Overrides,
  type TokenizerName,
  tokenizerEntrant,
  tokenizers,
} from "./contestants.ts";

/** What sampling a model file costs, measured in a process of its own. */
export interface SamplingCost {
  readonly oneMs: number;
  readonly eightMs: number;
  readonly peakBytes: number;
}

export interface ImageArenaOptions {
  readonly contestants: readonly Contestant[];
  /** Minutes that each contestant trains. */
  readonly budgetMinutes: number;
  readonly seed: number;
  /** Judged samples, and held-out pictures that they are compared with. */
  readonly samples: number;
  readonly guidanceGrid: readonly number[];
  readonly guidanceSamples: number;
  /** Smaller recipes, for tests. */
  readonly overrides?: Overrides;
  costOf(model: Uint8Array, settings: Readonly<Record<string, unknown>>): Promise<SamplingCost>;
}

export const arenaArmNames = {
  tokenizer: (name: string) => `tokenizer-${name}`,
  training: (name: string) => `trained-${name}`,
  judging: (name: string) => `judged-${name}`,
  cost: (name: string) => `cost-${name}`,
};

/** What a contestant needs, its tokenizer's arm included where one trains it. */
export const armsOfContestant = ({ name, tokenizer }: Contestant): readonly string[] => [
  arenaArmNames.tokenizer(tokenizer),
  ...[arenaArmNames.training, arenaArmNames.judging, arenaArmNames.cost].map((of) => of(name)),
];

/** A tokenizer's weights: those of a shipped model, or of the arm that trained it. @throws NextxError CLAIM_MISSING_ARM, CLAIM_DAMAGED_ARM */
async function tokenizerWeights(
  name: TokenizerName,
  arms: Pick<ArmContext, "model">,
  shippedModel: ClaimSetting["model"],
): Promise<Weights> {
  const { prefix, model: shipped }: ArenaTokenizer = tokenizers[name];
  const file =
    shipped === undefined
      ? decodeModel(await arms.model(arenaArmNames.tokenizer(name)))
      : await shippedModel(shipped);
  return withPrefix(file.weights, prefix);
}

/** A contestant's whole model: its tokenizer with what its own arm trained. @throws NextxError CLAIM_MISSING_ARM, CLAIM_DAMAGED_ARM */
export async function contestantModel(
  { name, tokenizer }: Contestant,
  arms: Pick<ArmContext, "model">,
  shippedModel: ClaimSetting["model"],
): Promise<ModelFile> {
  const { description, weights } = decodeModel(await arms.model(arenaArmNames.training(name)));
  return {
    description,
    weights: new Map([...(await tokenizerWeights(tokenizer, arms, shippedModel)), ...weights]),
  };
}

/** Seeds of noise: samples that choose guidance share none with those that are judged. */
const noise = { guidance: 7_001, judging: 9_001 } as const;
const shown = 32;
/** Steps that tell how many fit into the budget; the first ones compile and are left out. */
const paced = { skipped: 4, counted: 32 } as const;

/** Seconds of the median step of a stage on this machine: what else ran for a moment does not decide the budget. */
async function secondsPerStep(stageOf: (steps: number) => Stage, context: StageContext): Promise<number> {
  const times: number[] = [];
  let startMs = 0;
  for await (const { report } of trainStage(stageOf(paced.skipped + paced.counted), context)) {
    const nowMs = performance.now();
    if (report.step > paced.skipped) times.push((nowMs - startMs) / 1000);
    startMs = nowMs;
  }
  return median(times);
}

class Arena {
  readonly setting: ClaimSetting;
  readonly options: ImageArenaOptions;
  readonly judge: Judge;
  readonly identities;
  readonly #tokens = new Map<string, TokenCache>();

  constructor(setting: ClaimSetting, options: ImageArenaOptions) {
    const { set, size } = arenaData;
    const networks = setting.features(set);
    this.setting = setting;
    this.options = options;
    this.identities = networks.identities;
    this.judge = new Judge(() => setting.openData(set, size, "test"), networks, options.samples);
  }

  note(prefix: string): (text: string) => void {
    return (text) => this.setting.onProgress?.(`${prefix}: ${text}`);
  }

  /** Contestants that share a tokenizer share its tokens. */
  tokens(name: TokenizerName): TokenCache {
    const known = this.#tokens.get(name) ?? new Map();
    this.#tokens.set(name, known);
    return known;
  }

  held(): Promise<ImageSet> {
    return this.setting.openData(arenaData.set, arenaData.size, "test");
  }
}

function tokenizerArm(arena: Arena, name: TokenizerName): Arm {
  const { setting, options } = arena;
  const entrant = tokenizerEntrant(name, options.overrides);
  const recipe = entrant.recipe() as { tokenizer: unknown; train: { tokenizer: unknown } };
  return {
    name: arenaArmNames.tokenizer(name),
    definition: {
      tokenizer: recipe.tokenizer,
      train: recipe.train.tokenizer,
      seed: options.seed,
      ...arenaData,
    },
    run: async ({ signal }) => {
      const over = { seed: options.seed, earlier: new Map(), ...(signal && { signal }) };
      const context = stageContext(setting, arenaData, over);
      const [stage] = entrant.system.stages(entrant.recipe()) as [Stage]; // the tokenizer's comes first
      const { weights, secondsPerStep: pace } = await trained(
        stage,
        context,
        arena.note(`tokenizer ${name}`),
      );
      const description = entrant.description(await arena.held());
      const model = encodeModel({ description, weights }, "F16");
      return { numbers: { steps: stage.steps, secondsPerStep: pace }, model };
    },
  };
}

/** What decides a contestant's weights, besides how fast the machine is. */
const trainingDefinition = ({ options }: Arena, entrant: Entrant) => {
  const { contestant } = entrant;
  const tokenizer: ArenaTokenizer = tokenizers[contestant.tokenizer];
  const { budgetMinutes, seed } = options;
  return { recipe: entrant.recipe(), shares: contestant.shares, tokenizer, budgetMinutes, seed, version: 1 };
};

/** All stages of a contestant, one after the other. Lists are by stage. */
function trainingArm(arena: Arena, entrant: Entrant): Arm {
  const { name, tokenizer, shares } = entrant.contestant;
  const { budgetMinutes, seed } = arena.options;
  return {
    name: arenaArmNames.training(name),
    definition: trainingDefinition(arena, entrant),
    run: async (context) => {
      const frozen = await tokenizerWeights(tokenizer, context, arena.setting.model);
      const stop = context.signal && { signal: context.signal };
      let weights: Weights = frozen;
      const lists: Record<string, number[]> = { steps: [], secondsPerStep: [], curve: [] };
      for (const [key, share] of Object.entries(shares)) {
        const over = { seed, earlier: weights, tokens: arena.tokens(tokenizer), ...stop };
        const stage = stageContext(arena.setting, arenaData, over);
        const pace = await secondsPerStep((steps) => entrant.stage(key, steps), stage);
        const steps = Math.max(1, Math.floor((60 * budgetMinutes * share) / pace));
        const made = await trained(entrant.stage(key, steps), stage, arena.note(`${name}, ${key}`));
        weights = made.weights;
        lists.steps?.push(steps);
        lists.secondsPerStep?.push(made.secondsPerStep);
        if (lists.curve?.length === 0) lists.curve.push(...made.curve); // the longest stage comes first
      }
      const description = entrant.description(await arena.held());
      const own = new Map([...weights].filter(([key]) => !frozen.has(key)));
      const parameters = entrant.parameters(await arena.held());
      return { numbers: { ...lists, parameters }, model: encodeModel({ description, weights: own }, "F16") };
    },
  };
}

/** Samples with the best guidance of a grid, and without; the tokenizer's round trip beside them. */
function judgingArm(arena: Arena, entrant: Entrant): Arm {
  const { contestant, system } = entrant;
  const { judge, options, setting, identities } = arena;
  const { samples: count, guidanceGrid, guidanceSamples } = options;
  return {
    name: arenaArmNames.judging(contestant.name),
    definition: {
      ...trainingDefinition(arena, entrant),
      ...{ features: identities, count, guidanceGrid, guidanceSamples, noise, guidanceBy: "product" },
    },
    run: async (context) => {
      const stop = context.signal && { signal: context.signal };
      const { description, weights } = await contestantModel(contestant, context, setting.model);
      using model = await system.open(description, weights, setting.device);
      const note = arena.note(contestant.name);
      const sampling = { count: guidanceSamples, seed: noise.guidance, options: {}, ...stop };
      const tables = await judge.guidanceTables(model, guidanceGrid, sampling, note);
      const guidance = leastProduct(guidanceGrid, tables);
      note(`${count} samples at guidance ${guidance}`);
      const options = { cfgScale: guidance };
      const made = await judge.samples(model, { count, seed: noise.judging, options, ...stop });
      const { pictures: real } = await judge.real();
      const round = await model.reconstruct?.(real.pixels, context.signal);
      const some = Math.min(shown, made.count);
      const sheet = made.pixels.subarray(0, some * made.size * made.size * 3);
      return {
        numbers: {
          guidance,
          ...(await judge.report(made, "", context.signal)),
          ...(round && (await judge.report({ ...real, pixels: round }, "RoundTrip", context.signal))),
        },
        pictures: { samples: composeContactSheet(sheet, some, made.size, { columns: 8, scale: 2 }) },
      };
    },
  };
}

/** Time and memory of sampling, and how often the runtime is called for one picture. To be run on a quiet machine. */
function costArm(arena: Arena, entrant: Entrant): Arm {
  const { contestant, system } = entrant;
  const guidanceOf = ({ rows }: ArmContext) =>
    numberOf(rows, arenaArmNames.judging(contestant.name), "guidance");
  return {
    name: arenaArmNames.cost(contestant.name),
    definition: { ...trainingDefinition(arena, entrant), cost: 1 },
    run: async (context) => {
      const { description, weights } = await contestantModel(contestant, context, arena.setting.model);
      arena.note(contestant.name)("what sampling costs");
      const counted = timed(arena.setting.device);
      using model = await system.open(description, weights, counted.device);
      const settings = { cfgScale: guidanceOf(context) };
      const request = { labels: [0], seed: 1, options: settings, previews: false };
      for await (const _ of model.sample(request)); // to its end
      const file = encodeModel({ description, weights }, "F16");
      const cost = await arena.options.costOf(file, settings);
      return { numbers: { ...cost, programRuns: counted.runs() } };
    },
  };
}

/** Contestant by contestant, so that an arena that was stopped early compares those that are through. */
export function imageArenaArms(setting: ClaimSetting, options: ImageArenaOptions): Arm[] {
  const arena = new Arena(setting, options);
  const made = new Set<string>();
  return options.contestants.flatMap((contestant) => {
    const entrant = new Entrant(contestant, options.overrides);
    const tokenizer: ArenaTokenizer = tokenizers[contestant.tokenizer];
    const isNeeded = tokenizer.model === undefined && !made.has(contestant.tokenizer);
    made.add(contestant.tokenizer);
    return [
      ...(isNeeded ? [tokenizerArm(arena, contestant.tokenizer)] : []),
      trainingArm(arena, entrant),
      judgingArm(arena, entrant),
      costArm(arena, entrant),
    ];
  });
}
