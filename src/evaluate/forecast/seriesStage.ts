/** Training a forecaster as a stage of a run, with its errors on the validation split between steps. */
import { openWindows, type SeriesSource } from "../../data/series/windows.ts";
import { defaultAdamW } from "../../regimen/adamw.ts";
import { type SeriesSystem, shapeOf } from "../../regimen/seriesSystem.ts";
import { SeriesTask } from "../../regimen/seriesTask.ts";
import { trainerOptions } from "../../regimen/stageRecipe.ts";
import type { Stage } from "../../regimen/system.ts";
import { trainedForecaster } from "./forecaster.ts";
import { measureForecasts } from "./measure.ts";
import type { SeriesRecipe } from "./seriesRecipe.ts";

/** Every how many validation windows one is measured between steps. */
const validationStride = 4;

/** What a recipe trains, and on what. @throws NextxError SERIES_TOO_SHORT, DATA_BAD_BATCH_SIZE, CONFIG_BAD_VALUE */
export function openTask(system: SeriesSystem, { data, train, seed }: SeriesRecipe, source: SeriesSource) {
  const shape = shapeOf(source, data);
  const trainee = system.trainee(system.smallConfig(shape), shape.channels);
  const windows = openWindows(source, "train", data);
  return {
    trainee,
    task: new SeriesTask(trainee, windows, train.forecaster.batchSize, seed),
    validation: openWindows(source, "validation", data),
  };
}

export function seriesStage(
  system: SeriesSystem,
  recipe: SeriesRecipe,
  openSource: () => Promise<SeriesSource>,
): Stage {
  const { forecaster: stage } = recipe.train;
  return {
    name: "forecaster",
    steps: stage.steps,
    options: trainerOptions(stage, defaultAdamW.undecayed),
    create: async ({ device, signal }) => {
      const { trainee, task, validation } = openTask(system, recipe, await openSource());
      return {
        task,
        batchSize: stage.batchSize * stage.accumulate,
        observe: async (weights) => {
          using forecaster = await trainedForecaster(system.id, trainee, weights, device);
          const looking = { stride: validationStride, ...(signal && { signal }) };
          const { mse, mae } = await measureForecasts(forecaster, validation, looking);
          return { metrics: { validationMse: mse, validationMae: mae } };
        },
      };
    },
  };
}
