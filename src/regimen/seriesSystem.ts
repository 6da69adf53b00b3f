/** What a published system that forecasts series offers to everything above it. */
import type { z } from "zod";
import type { Frequency, WindowSizes } from "../data/series/types.ts";
import type { SeriesSource } from "../data/series/windows.ts";
import type { SeriesTrainee } from "./seriesTask.ts";
import type { System } from "./system.ts";

/** What a forecaster must fit. */
export interface SeriesShape extends WindowSizes {
  readonly channels: number;
  readonly frequency: Frequency;
}

/** What a model must fit to forecast this source. */
export const shapeOf = (
  { table, frequency }: SeriesSource,
  { contextLength, predictionLength }: WindowSizes,
): SeriesShape => ({ contextLength, predictionLength, frequency, channels: table.channels.length });

/** A published system that forecasts series. */
export interface SeriesSystem extends System {
  /** Everything that can be chosen about a model, with the official defaults. */
  readonly configSchema: z.ZodType;
  /** A small configuration for windows of a shape; the schema reads it. */
  smallConfig(shape: SeriesShape): unknown;
  /** Graphs and parameters of a configuration, over windows with this many channels. */
  trainee(config: unknown, channels: number): SeriesTrainee;
}
