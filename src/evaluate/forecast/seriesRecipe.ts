/**
 * Training of forecasters as data: a set with its window sizes, and one stage. The same fields and recipes for every system
 * that forecasts; a command-line flag is the path of a key (`--train-forecaster-steps`).
 */
import { z } from "zod";
import { stageFields, stepCount } from "../../regimen/stageRecipe.ts";
import type { RecipeEntry } from "../../regimen/system.ts";

const rows = z.int().min(1).max(100_000);

const stage = z.strictObject({
  steps: stepCount.default(2000),
  ...stageFields,
  batchSize: stageFields.batchSize.default(32),
  learningRate: stageFields.learningRate.default(1e-3),
  schedule: stageFields.schedule.default("cosine"),
  warmup: stageFields.warmup.default(50),
  end: stageFields.end.default(0.02),
  weightDecay: stageFields.weightDecay.default(0),
  beta2: stageFields.beta2.default(0.999),
  clipNorm: stageFields.clipNorm.default(1),
  emaDecay: stageFields.emaDecay.default(0.99),
});

/** The recipes' schema of the system of an id. */
export const seriesRecipeSchema = (id: string) =>
  z.strictObject({
    system: z.literal(id).default(id),
    seed: z.int().min(0).default(1),
    data: z
      .strictObject({
        set: z.string().default("waves"),
        contextLength: rows.default(96).describe("Rows looked back on."),
        predictionLength: rows.default(96).describe("Rows forecast."),
      })
      .prefault({}),
    train: z.strictObject({ forecaster: stage.prefault({}) }).prefault({}),
  });
export type SeriesRecipe = z.infer<ReturnType<typeof seriesRecipeSchema>>;

const weeks = { set: "illness", contextLength: 36, predictionLength: 24 };

export const seriesRecipes: Readonly<Record<string, RecipeEntry>> = {
  "waves-96": {
    description: "The procedural series: horizon 96 after 96 rows.",
    expect: "",
    recipe: {},
  },
  "etth1-96": {
    description: "ETTh1, 7 channels, hourly: horizon 96 after 96 rows.",
    expect: "",
    recipe: { data: { set: "etth1" } },
  },
  "etth2-96": {
    description: "ETTh2, 7 channels, hourly: horizon 96 after 96 rows.",
    expect: "",
    recipe: { data: { set: "etth2" } },
  },
  "exchange-96": {
    description: "Exchange rates, 8 channels, daily: horizon 96 after 96 rows.",
    expect: "",
    recipe: { data: { set: "exchange" } },
  },
  "illness-24": {
    description: "Influenza-like illness, 7 channels, weekly: horizon 24 after 36 rows.",
    expect: "",
    recipe: { data: weeks },
  },
  smoke: {
    description: "The procedural series for a few steps: to see everything run, not to forecast well.",
    expect: "",
    recipe: {
      data: { contextLength: 24, predictionLength: 12 },
      train: { forecaster: { steps: 40, warmup: 5, batchSize: 16 } },
    },
  },
};
