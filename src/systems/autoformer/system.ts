/** Autoformer as the rest of nextx sees it. */
import type { SeriesSystem } from "../../regimen/seriesSystem.ts";
import { autoformerSchema } from "./config.ts";
import { autoformerParity } from "./parity.ts";
import { autoformerTrainee, smallAutoformer } from "./trainee.ts";

export const autoformerSystem: SeriesSystem = {
  id: "autoformer",
  title: "Autoformer",
  source: "arXiv 2106.13008; github.com/thuml/Autoformer (MIT)",
  description:
    "A whole horizon of a multivariate series in one shot: series decomposition inside every layer, auto-correlation instead of attention.",
  configSchema: autoformerSchema,
  smallConfig: smallAutoformer,
  trainee: (config) => autoformerTrainee(config),
  parity: autoformerParity,
};
