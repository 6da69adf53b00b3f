/**
 * Our own classifiers: one architecture, one recipe per data set. They are trained once on the training split, frozen and
 * hashed before the first claim; a changed recipe or architecture makes another extractor with another hash.
 */
import type { Augmentation } from "../../data/augment.ts";
import type { ImageSet } from "../../data/types.ts";
import type { ClassifierHead, ConvClassifierConfig } from "../../nn/convClassifier.ts";
import { NextxError } from "../../tensor/errors.ts";

/** The factors of a procedural picture that the classifier reads, with their numbers of values. */
const synthFactors = {
  shape: 8,
  mainColour: 8,
  accent: 4,
  background: 8,
  layout: 6,
  count: 4,
  light: 4,
  texture: 4,
  glyph: 4,
} as const;

/** What is asked about a picture; the first head is always its class. */
export interface Questions {
  readonly heads: readonly ClassifierHead[];
  /** One answer per head. */
  answers(index: number, label: number): readonly number[];
}

type WithFactors = ImageSet & { factors(index: number): Readonly<Record<string, number>> };
const hasFactors = (set: ImageSet): set is WithFactors =>
  "factors" in set && typeof set.factors === "function";

/** The class, and for procedural sets every factor as well. */
export function questionsOf(set: ImageSet): Questions {
  const heads = [{ name: "class", classes: set.classNames.length }];
  if (!hasFactors(set)) return { heads, answers: (_, label) => [label] };
  const names = Object.keys(synthFactors) as (keyof typeof synthFactors)[]; // the keys of a literal
  return {
    heads: [...heads, ...names.map((name) => ({ name, classes: synthFactors[name] }))],
    answers: (index, label) => {
      const factors = set.factors(index);
      return [label, ...names.map((name) => value(factors[name], name) - (name === "count" ? 1 : 0))];
    },
  };
}

function value(found: number | undefined, name: string): number {
  if (found !== undefined) return found;
  throw new NextxError("INTERNAL_INVARIANT", `A procedural picture has no factor "${name}".`);
}

/** How one classifier is trained; JSON. */
export interface ClassifierRecipe {
  readonly set: string;
  readonly size: number;
  readonly seed: number;
  readonly steps: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly emaDecay: number;
  readonly augment: Augmentation;
  /** Held-out accuracy that the frozen file must have: the mean over heads, classes for sets without factors. */
  readonly target: number;
}

const base = { size: 32, seed: 1, batchSize: 64, learningRate: 3e-3, weightDecay: 0.05, emaDecay: 0.995 };

/** Recipes by data set: a few minutes each on two cores that do nothing else. */
export const classifierRecipes: Readonly<Record<string, ClassifierRecipe>> = {
  synth: { ...base, set: "synth", steps: 3000, augment: {}, target: 0.98 },
  // No crop: it enlarges every training picture, and Fashion-MNIST held out is not enlarged (84.7 % with it).
  "fashion-mnist": {
    ...base,
    set: "fashion-mnist",
    steps: 2000,
    augment: { horizontalFlip: true },
    target: 0.9,
  },
  tiles: {
    ...base,
    set: "tiles",
    steps: 1600,
    augment: { horizontalFlip: true, crop: { ratio: 1.125 } },
    target: 0.85,
  },
};

/** The one architecture: about 0.215 million parameters, 0.43 MB as float16, 64 features. */
export function classifierConfig(imageSize: number, heads: readonly ClassifierHead[]): ConvClassifierConfig {
  return { imageSize, widths: [32, 48, 64], numResBlocks: 1, numGroups: 8, dims: 64, heads };
}

/** @throws NextxError CLASSIFIER_UNKNOWN_SET */
export function classifierRecipe(set: string): ClassifierRecipe {
  const recipe = Object.hasOwn(classifierRecipes, set) ? classifierRecipes[set] : undefined;
  if (recipe) return recipe;
  throw new NextxError("CLASSIFIER_UNKNOWN_SET", `There is no classifier for "${set}".`, {
    path: "set",
    hint: `Choose one of ${Object.keys(classifierRecipes).join(", ")}.`,
  });
}
