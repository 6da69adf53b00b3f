/**
 * What the arms of a claim about refining a scale-wise model share: every method starts from one base with a fresh
 * optimiser, sees the pictures in the same order, and may spend the same multiply-adds. Systems, data and feature networks
 * are handed in.
 */
import { inOrder } from "../../../data/loader.ts";
import type { ImageSet, Split } from "../../../data/types.ts";
import type { ModelFile } from "../../../formats/modelFile.ts";
import type { ImageSystem, Stage, StageContext } from "../../../regimen/system.ts";
import { type TokenCache, type TokenSet, tokenise } from "../../../regimen/tokenSet.ts";
import type { Device } from "../../../runtime/device.ts";
import { invariant } from "../../../tensor/errors.ts";
import { type Dynamics, measureDynamics } from "../../dynamics/measure.ts";
import { drawPictures, type LabelledPictures } from "../../evaluatePictures.ts";
import type { FeatureSet } from "../../featureSet.ts";
import type { FeatureExtractor } from "../../features/types.ts";
import type { FeatureNetworks } from "../claim.ts";

export type Values = Readonly<Record<string, unknown>>;

export interface RefinementSetting {
  readonly system: ImageSystem;
  readonly base: ModelFile & { readonly sha256: string };
  /** Data set that the base was trained on. */
  readonly set: string;
  readonly openData: (split: Split) => Promise<ImageSet>;
  /** Fixed by hash before the first arm. */
  readonly features: FeatureNetworks;
  readonly device: Device;
  /** Parts of the base's recipe that its file does not tell, such as its schedules and augmentation. */
  readonly recipe: Values;
  /** Values of the refining stage that all methods share; `steps` are those of the claimed method. */
  readonly refine: Values & { readonly steps: number };
  /** What each method changes in the refining stage. The first is what is claimed: its compute is what all may spend. */
  readonly methods: Readonly<Record<string, Values>>;
  readonly seeds: readonly number[];
  /** Variants tried beside the methods, at a seed of their own; null trains nothing. `steps` is of the claimed method's. */
  readonly sweep?: { readonly seed: number; readonly variants: Readonly<Record<string, Values | null>> };
  /** Schedules that the claimed method's first seed is sampled with. */
  readonly sampledSchedules?: readonly (readonly number[])[];
  /** Samples that are judged, and held-out pictures that they are compared with. */
  readonly samples: number;
  readonly onProgress?: (text: string) => void;
}

/** The claimed method's name. */
export const claimedMethod = ({ methods }: RefinementSetting): string => Object.keys(methods)[0] ?? "";

export const armNames = {
  cost: (set: string) => `${set}-cost`,
  training: (set: string, method: string, seed: number) => `${set}-${method}-${seed}`,
  guidance: (set: string, method: string) => `${set}-${method}-guidance`,
  judging: (set: string, method: string, seed: number) => `${set}-${method}-${seed}-judged`,
  base: (set: string) => `${set}-base-judged`,
  schedules: (set: string) => `${set}-schedules`,
  scheduleTimes: (set: string) => `${set}-times`,
  sweep: (set: string, variant: string) => `${set}-sweep-${variant}`,
  /** The younger base, or a variant from it. */
  younger: (set: string, variant?: string) => (variant ? `${set}-younger-${variant}` : `${set}-younger`),
};

/** Everything that decides an arm's numbers. */
export function definitionOf(setting: RefinementSetting, own: unknown): unknown {
  const { base, set, recipe, refine, features, samples } = setting;
  return {
    base: base.sha256,
    set,
    recipe,
    refine,
    samples,
    features: features.identities,
    own,
  };
}

/** The base's refining stage with what a method changes in it. */
export function stageOf(setting: RefinementSetting, method: Values, seed: number, steps: number): Stage {
  const { system, base, refine } = setting;
  const recipe = system.recipeSchema.parse({
    ...setting.recipe,
    ...system.recipeOf(base.description),
    seed,
    train: { refine: { ...refine, ...method, steps } },
  });
  return system.stages(recipe).at(-1) as Stage; // refining comes last
}

/** Held-out pictures as every extractor sees them. */
interface RealPictures {
  readonly pictures: LabelledPictures;
  readonly extractors: readonly FeatureExtractor[];
  readonly features: readonly FeatureSet[];
}

/** Pictures whose dynamics are measured. */
export const dynamicsPictures = 1_024;

/** Work that arms have in common, done once per process. */
export class RefinementBench {
  readonly setting: RefinementSetting;
  readonly #tokens: TokenCache = new Map();
  #real: Promise<RealPictures> | undefined;
  #heldOut: Promise<TokenSet> | undefined;

  constructor(setting: RefinementSetting) {
    this.setting = setting;
  }

  context(seed: number, signal?: AbortSignal): StageContext {
    const { device, openData, base, onProgress } = this.setting;
    return {
      device,
      seed,
      data: openData,
      earlier: base.weights,
      tokens: this.#tokens,
      readWeights: async () => new Map(),
      onProgress: (text, done, total) => onProgress?.(`${text} ${done} of ${total}`),
      ...(signal && { signal }),
    };
  }

  /** Held-out pictures, the networks, and the pictures' features under each. */
  real(): Promise<RealPictures> {
    this.#real ??= this.#readReal();
    return this.#real;
  }

  /** Dynamics of a model over the base's tokenizer, on held-out pictures that no guidance was chosen by. */
  async dynamics({ description, weights }: ModelFile, signal?: AbortSignal): Promise<Dynamics> {
    const { system, device, openData, samples } = this.setting;
    const subject = system.scaleWise?.(description, weights);
    invariant(subject !== undefined, "Only scale-wise models are refined.");
    this.#heldOut ??= openData("validation").then((set) => {
      const count = Math.min(dynamicsPictures, samples, set.length);
      return tokenise({ ...subject.tokenizer, loader: inOrder(set), count, device });
    });
    const options = { device, seed: 0, corruptRate: 0, ...(signal && { signal }) };
    return measureDynamics(subject, await this.#heldOut, options);
  }

  async #readReal(): Promise<RealPictures> {
    const { openData, samples, features: networks } = this.setting;
    const extractors = await networks.open();
    const pictures = drawPictures(await openData("test"), samples);
    const features: FeatureSet[] = [];
    for (const extractor of extractors) features.push(await extractor.features(pictures));
    return { pictures, extractors, features };
  }
}
