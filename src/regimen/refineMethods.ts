/**
 * What post-trains a scale-wise model, by name: the two readings of SAR, and the controls it is compared with.
 * Source: arXiv 2512.06421 (paper), `trainer.py`, `scalear_trainer.py` and `scripts/` (code); the rest is inferred.
 */
import { z } from "zod";
import {
  alternatingGroups,
  freeRunning,
  groundTruth,
  mixedSteps,
  tokenFlips,
  trueThenFree,
} from "../context/pastSources.ts";
import type { PastSource } from "../context/types.ts";
import { forcedProgramme, refinementProgramme, type Trainee } from "./programmes.ts";
import type { Programme } from "./scaleWiseTask.ts";
import type { RefinementOptions } from "./selfRefinement.ts";

/** A refinement, and whether labels are dropped once for both passes or once for each. */
export interface Preset extends RefinementOptions {
  readonly sharedDrop: boolean;
}

const argmax = { sampling: false, softTargets: false, labelSmoothing: 0 } as const;

/** Two-pass methods. */
export const presets = {
  /** paper: all transitions, usual context, targets are the teacher-forced predictions. */
  "sar-paper": {
    rollout: "all",
    target: "teacher",
    context: "blockCausal",
    sigma: 0.01,
    ...argmax,
    sharedDrop: true,
  },
  /** code: the last transition, seen alone behind the class, same targets. */
  "sar-code": {
    rollout: "last",
    target: "teacher",
    context: "isolated",
    sigma: 0.01,
    ...argmax,
    sharedDrop: false,
  },
  /** control: as sar-paper, judged by the truth. */
  "sf-gt": {
    rollout: "all",
    target: "truth",
    context: "blockCausal",
    sigma: 0.01,
    ...argmax,
    sharedDrop: true,
  },
} as const satisfies Record<string, Preset>;

/** One-pass methods: whose past a step sees. */
const pasts: Readonly<Record<string, (recipe: RefineRecipe) => PastSource>> = {
  "tf-continue": () => groundTruth,
  "full-sf": () => freeRunning,
  mixed: () => mixedSteps,
  alternating: () => alternatingGroups,
  hybrid: ({ forcedScales }) => trueThenFree(forcedScales),
  "token-flips": ({ flipShare }) => tokenFlips(flipShare),
};

const methodNames = [
  "sar-paper",
  "sar-code",
  "sf-gt",
  "tf-continue",
  "full-sf",
  "mixed",
  "alternating",
  "hybrid",
  "token-flips",
] as const;

/** Fields of a refining stage; what is left out is as the method has it. */
export const refineFields = {
  method: z.enum(methodNames).default("sar-paper"),
  sigma: z
    .number()
    .min(0)
    .max(100)
    .optional()
    .describe("Weight of the second pass; the method's when absent."),
  rollout: z.enum(["last", "random", "all"]).optional().describe("Transitions taken from the model."),
  target: z.enum(["teacher", "truth"]).optional().describe("What the second pass is judged by."),
  context: z.enum(["isolated", "blockCausal"]).optional().describe("What a scale of the second pass sees."),
  softTargets: z.boolean().default(false).describe("Agree with the teacher's distribution, not its picks."),
  sampling: z.boolean().default(false).describe("Draw the rollout instead of taking the likeliest codes."),
  sfCfg: z.number().min(0).max(100).default(1.2).describe("Guidance of a drawn rollout, in force above 1."),
  topK: z.int().min(0).max(1_000_000).default(900).describe("Of a drawn rollout."),
  topP: z.number().min(0).max(1).default(0.96).describe("Of a drawn rollout."),
  labelSmoothing: z.number().min(0).max(1).default(0),
  flipShare: z.number().min(0).max(1).default(0.05).describe("Of token-flips: share of replaced tokens."),
  forcedScales: z.int().min(0).max(64).default(3).describe("Of hybrid: scales that stay true."),
};

const refineSchema = z.object(refineFields);
export type RefineRecipe = z.infer<typeof refineSchema>;

/** The two-pass options of a recipe, or undefined for a one-pass method. */
export function refinementOf(recipe: RefineRecipe): Preset | undefined {
  if (!Object.hasOwn(presets, recipe.method)) return undefined;
  const preset: Preset = presets[recipe.method as keyof typeof presets];
  const { sampling, softTargets, labelSmoothing } = recipe;
  return {
    ...preset,
    sigma: recipe.sigma ?? preset.sigma,
    rollout: recipe.rollout ?? preset.rollout,
    target: recipe.target ?? preset.target,
    context: recipe.context ?? preset.context,
    sampling,
    softTargets,
    labelSmoothing,
  };
}

/** What a refining stage computes at each step. Errors: those of refinement options. */
export function refineProgramme(trainee: Trainee, recipe: RefineRecipe): Programme {
  const { sampling, sfCfg, topK, topP, labelSmoothing } = recipe;
  const rollout = { sampling, sfCfg, topK, topP };
  const refinement = refinementOf(recipe);
  if (refinement) return refinementProgramme(trainee, refinement, rollout);
  const past = pasts[recipe.method]?.(recipe) ?? groundTruth;
  return forcedProgramme(trainee, past, { rollout, labelSmoothing });
}
