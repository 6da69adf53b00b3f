/** Training a forecaster from a recipe into a run folder, and measuring what came out. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openSeries } from "./data/series/seriesSets.node.ts";
import { openWindows } from "./data/series/windows.ts";
import type { Split } from "./data/types.ts";
import { trainedForecaster } from "./evaluate/forecast/forecaster.ts";
import { type ForecastErrors, measureForecasts } from "./evaluate/forecast/measure.ts";
import { naive, seasonalNaive } from "./evaluate/forecast/naive.ts";
import type { SeriesRecipe } from "./evaluate/forecast/seriesRecipe.ts";
import { openTask, seriesStage } from "./evaluate/forecast/seriesStage.ts";
import { openSafetensors } from "./formats/safetensors.node.ts";
import {
  decodeSeriesModel,
  encodeSeriesModel,
  isSeriesHead,
  type SeriesDescription,
  type SeriesModelFile,
} from "./formats/seriesModelFile.ts";
import { type SeriesSystem, shapeOf } from "./regimen/seriesSystem.ts";
import type { Json } from "./regimen/trainer.ts";
import { modelFileName, type Programme } from "./regimen/trainRun.node.ts";
import type { Trainable } from "./resolveRecipe.ts";
import { type DeviceOptions, openDevice } from "./runtime/device.node.ts";
import { seriesSystems, systemIn } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";
import { seriesTrainable } from "./trainables.ts";

export interface SeriesProgrammeOptions {
  readonly recipe?: string;
  readonly from?: string;
  readonly dataRoot?: string;
}

/** Errors: TRAIN_NO_FROM, and those of `choose`. */
export function seriesProgramme(
  system: SeriesSystem,
  choose: (system: Trainable) => unknown,
  { recipe: name, from, dataRoot }: SeriesProgrammeOptions,
): { readonly programme: Programme; readonly recipeName: string; readonly from?: undefined } {
  if (from !== undefined) {
    throw new NextxError("TRAIN_NO_FROM", "A forecaster is trained from nothing.", {
      path: "from",
      hint: "Leave --from out.",
    });
  }
  const trainable = seriesTrainable(system);
  const recipe = choose(trainable) as SeriesRecipe; // parsed by its schema
  const source = () => openSeries(recipe.data.set, dataRoot);
  const noPictures = async (): Promise<never> => {
    throw new NextxError("DATA_UNKNOWN_SET", "A forecaster reads no pictures.", { path: "data.set" });
  };
  const programme: Programme = {
    recipe: recipe as Json & { seed: number }, // JSON with a seed
    stages: [seriesStage(system, recipe, source)],
    ...{ data: noPictures, readWeights: noPictures, requireFit: noPictures },
    requireData: async () => openTask(system, recipe, await source()), // a begun folder would refuse other sizes
    encode: async (weights) => {
      const opened = await source();
      const { data } = recipe;
      const { timesMs } = opened.table;
      const { scaling, channels } = openWindows(opened, "train", data);
      const description: SeriesDescription = {
        system: system.id,
        config: JSON.parse(JSON.stringify(system.smallConfig(shapeOf(opened, data)))),
        ...{ set: data.set, setVersion: opened.version },
        ...{ contextLength: data.contextLength, predictionLength: data.predictionLength },
        frequency: opened.frequency,
        stepMs: (timesMs[1] as number) - (timesMs[0] as number), // windows were cut, so there are rows
        channels: channels.map((channel, i) => ({
          name: channel,
          mean: scaling.mean[i] as number, // one per channel
          deviation: scaling.deviation[i] as number,
        })),
      };
      return encodeSeriesModel({ description, weights: new Map(weights) });
    },
  };
  return { programme, recipeName: name ?? trainable.defaultRecipe };
}

const fileOf = (name: string): string =>
  existsSync(join(name, modelFileName)) ? join(name, modelFileName) : name;

/** A forecaster's file: that of a run folder, or the file itself. @throws NextxError MODEL_ codes */
export async function readSeriesModel(name: string): Promise<SeriesModelFile> {
  const path = fileOf(name);
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new NextxError("MODEL_NOT_FOUND", `There is no model, run folder or file "${name}".`, {
      path: name,
      cause,
    });
  });
  return decodeSeriesModel(bytes, path);
}

/** Whether a name leads to a forecaster's file. */
export async function isSeriesModel(name: string): Promise<boolean> {
  try {
    await using file = await openSafetensors(fileOf(name));
    return isSeriesHead(JSON.parse(file.metadata.get("nextx") ?? "null"));
  } catch {
    return false; // whoever reads it as something else says what is wrong
  }
}

/** What `evaluateSeries` may be told. */
export interface EvaluateSeriesOptions extends DeviceOptions {
  /** `test` when absent. */
  readonly split?: Exclude<Split, "train">;
  readonly dataRoot?: string;
  readonly signal?: AbortSignal;
}

/** Errors of a forecaster on the held-out rows of its series. */
export interface SeriesReport {
  readonly system: string;
  readonly data: Pick<SeriesDescription, "set" | "setVersion" | "contextLength" | "predictionLength"> & {
    readonly split: Split;
    readonly windows: number;
  };
  /** On standardised data, over every window, step and channel; of the model and of both naive forecasts. */
  readonly errors: Readonly<Record<string, Pick<ForecastErrors, "mse" | "mae">>>;
}

/**
 * A forecaster on the windows of a split of the set that it was trained on, beside the naive forecasts.
 * @throws NextxError MODEL_ codes, DATA_OTHER_VERSION when the set has changed, DATA_ codes, ABORTED
 */
export async function evaluateSeries(
  name: string,
  options: EvaluateSeriesOptions = {},
): Promise<SeriesReport> {
  const { split = "test", dataRoot, signal } = options;
  const { description, weights } = await readSeriesModel(name);
  const { set, setVersion, contextLength, predictionLength, channels } = description;
  const system = systemIn(seriesSystems, description.system);
  const source = await openSeries(set, dataRoot);
  if (source.version !== setVersion) {
    throw new NextxError("DATA_OTHER_VERSION", `${set} is not what the model was trained on.`, {
      path: "data",
      hint: `It was ${setVersion}, it is ${source.version}.`,
    });
  }
  const windows = openWindows(source, split, { contextLength, predictionLength });
  const trainee = system.trainee(description.config, channels.length);
  using forecaster = await trainedForecaster(system.id, trainee, weights, await openDevice(options));
  const errors: Record<string, Pick<ForecastErrors, "mse" | "mae">> = {};
  for (const one of [forecaster, naive, seasonalNaive(source.season)]) {
    const { mse, mae } = await measureForecasts(one, windows, { ...(signal && { signal }) });
    errors[one.name] = { mse, mae };
  }
  const data = { set, setVersion, split, contextLength, predictionLength, windows: windows.length };
  return { system: system.id, data, errors };
}
