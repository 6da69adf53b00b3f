/**
 * Who takes part in the arena of image models: each a recipe of its system with about as many parameters as the others, the
 * tokenizer that it shares with those that can read it, and how its training stages divide the budget.
 */
import type { ImageSet } from "../../data/types.ts";
import { parameterCount } from "../../nn/scope.ts";
import type { ImageSystem, ModelDescription, Stage } from "../../regimen/system.ts";
import { imageSystems, systemIn } from "../../systems/registry.ts";
import { refined, methods as refinements } from "../sar/protocol.ts";

/** What the recipe named after the set holds, as far as contestants change it. */
interface RecipeParts {
  readonly data: { readonly set: string };
  readonly tokenizer: object;
  readonly transformer: object;
  readonly train?: Readonly<Record<string, object>>;
}

/** Values that a contestant changes in its system's recipe. */
interface Changes {
  readonly transformer?: object;
  readonly train?: Readonly<Record<string, object>>;
  readonly [key: string]: unknown;
}

export interface Contestant {
  /** Lower-case letters, digits, dashes. */
  readonly name: string;
  readonly title: string;
  /** What it predicts next. */
  readonly predicts: string;
  /** Id of the system whose recipe it is. */
  readonly system: string;
  readonly changes: Changes;
  readonly tokenizer: TokenizerName;
  /** Shares of the budget by key of `recipe.train`, for the stages after the tokenizer in their order; they sum to 1. */
  readonly shares: Readonly<Record<string, number>>;
}

/** A tokenizer: that of a shipped model, or trained by an arm with the recipe of a system. */
export interface ArenaTokenizer {
  readonly system: string;
  /** Parameter names begin with it. */
  readonly prefix: string;
  readonly model?: string;
}

export const tokenizers = {
  residual: { system: "var", prefix: "vae.", model: "synth-32" },
  flexible: { system: "sar", prefix: "vae.", model: "flexvar-synth-32" },
  vq: { system: "nar", prefix: "vq." },
  kl: { system: "xar", prefix: "vae." },
} as const satisfies Readonly<Record<string, ArenaTokenizer>>;
export type TokenizerName = keyof typeof tokenizers;

const whole = { transformer: 1 } as const;
const sar = refinements[refined];

export const contestants: readonly Contestant[] = [
  {
    ...{ name: "raster", title: "Raster GPT", predicts: "token", system: "nar", tokenizer: "vq" },
    changes: { transformer: { order: "raster", dim: 100, nHead: 5, nLayer: 6 } },
    shares: whole,
  },
  {
    ...{ name: "var", title: "VAR", predicts: "scale", system: "var", tokenizer: "residual" },
    ...{ changes: {}, shares: whole },
  },
  {
    ...{ name: "flexvar", title: "FlexVAR", predicts: "scale", system: "sar", tokenizer: "flexible" },
    changes: { train: { refine: { steps: 0 } } },
    shares: whole,
  },
  {
    ...{ name: "sar", title: "SAR", predicts: "scale", system: "sar", tokenizer: "flexible" },
    changes: { train: { refine: sar } },
    shares: { transformer: 0.9, refine: 0.1 },
  },
  {
    ...{ name: "flowar", title: "FlowAR", predicts: "scale", system: "flowar", tokenizer: "kl" },
    changes: { transformer: { embedDim: 80, flowWidth: 80, encoderNumHeads: 5, decoderNumHeads: 5 } },
    shares: whole,
  },
  {
    ...{ name: "xar", title: "xAR", predicts: "cell", system: "xar", tokenizer: "kl" },
    changes: { transformer: { embedDim: 100, encoderNumHeads: 5, decoderNumHeads: 5 } },
    shares: whole,
  },
  {
    ...{ name: "hmar", title: "HMAR", predicts: "scale, refined", system: "hmar", tokenizer: "residual" },
    changes: { tailLayers: 4 },
    shares: { nextScale: 2 / 3, masked: 1 / 3 },
  },
  {
    ...{ name: "nar", title: "NAR", predicts: "neighbours", system: "nar", tokenizer: "vq" },
    ...{ changes: {}, shares: whole },
  },
];

/** The recipe of every contestant is its system's for this set and size. */
export const arenaData = { set: "synth", size: 32 } as const;
const baseRecipe = "synth-32";

const systemOf = (id: string): ImageSystem => systemIn(imageSystems, id);

/** A recipe with other values; stages named in `train` keep what is not changed in them. */
function withChanges(base: RecipeParts, { transformer, train, ...others }: Changes): unknown {
  const stages = Object.entries(train ?? {}).map(([key, values]) => [
    key,
    { ...base.train?.[key], ...values },
  ]);
  return {
    ...base,
    ...others,
    transformer: { ...base.transformer, ...transformer },
    train: { ...base.train, ...Object.fromEntries(stages) },
  };
}

/** The smaller values with which a test runs everything; the arena itself changes nothing. */
export type Overrides = Readonly<Record<string, Changes>>;

/** A contestant's system with what its recipe decides. */
export class Entrant {
  readonly contestant: Contestant;
  readonly system: ImageSystem;
  readonly #base: RecipeParts;

  constructor(contestant: Contestant, overrides: Overrides = {}) {
    this.contestant = contestant;
    this.system = systemOf(contestant.system);
    const shipped = this.system.recipes[baseRecipe]?.recipe as RecipeParts; // every image system has it
    const own = withChanges(shipped, contestant.changes) as RecipeParts;
    this.#base = withChanges(own, overrides[contestant.name] ?? {}) as RecipeParts;
  }

  /** The recipe with these numbers of steps by key of `train`. */
  recipe(steps: Readonly<Record<string, number>> = {}): unknown {
    const train = Object.fromEntries(Object.entries(steps).map(([key, count]) => [key, { steps: count }]));
    return this.system.recipeSchema.parse(withChanges(this.#base, { train }));
  }

  /** The stage of a key of `shares`, with a number of steps. */
  stage(key: string, steps: number): Stage {
    const index = Object.keys(this.contestant.shares).indexOf(key);
    return this.system.stages(this.recipe({ [key]: steps }))[index + 1] as Stage; // the tokenizer's comes first
  }

  /** What its model file says. */
  description(set: ImageSet): ModelDescription {
    return this.system.describe(this.recipe(), set);
  }

  /** Learnt numbers without those of the tokenizer. */
  parameters(set: ImageSet): number {
    const { prefix } = tokenizers[this.contestant.tokenizer];
    const all = this.system.parameters(this.description(set));
    return parameterCount(new Map([...all].filter(([name]) => !name.startsWith(prefix))));
  }
}

/** Whose recipe trains a tokenizer. */
export function tokenizerEntrant(name: TokenizerName, overrides: Overrides = {}): Entrant {
  const { system } = tokenizers[name];
  const found = contestants.find((one) => one.system === system && one.tokenizer === name);
  return new Entrant(found as Contestant, overrides); // every tokenizer has a contestant of its system
}
