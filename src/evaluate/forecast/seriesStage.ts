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
    create: async ({ seed, device, signal }) => {
      const source = await openSource();
      const shape = shapeOf(source, recipe.data);
      const trainee = system.trainee(system.smallConfig(shape), shape.channels);
      const validation = openWindows(source, "validation", recipe.data);
      return {
        task: new SeriesTask(trainee, openWindows(source, "train", recipe.data), stage.batchSize, seed),
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
