/** SpaceTime as the rest of nextx sees it. */
import type { SeriesSystem } from "../../regimen/seriesSystem.ts";
import { spacetimeSchema } from "./config.ts";
import { spacetimeParity } from "./parity.ts";
import { smallSpacetime, spacetimeTrainee } from "./trainee.ts";

export const spacetimeSystem: SeriesSystem = {
  id: "spacetime",
  title: "SpaceTime",
  source: "arXiv 2303.09489; github.com/HazyResearch/spacetime (Apache-2.0)",
  description:
    "State spaces with learned companion matrices; the last one rolls any horizon out of its own predictions.",
  configSchema: spacetimeSchema,
  smallConfig: smallSpacetime,
  trainee: (config, channels) => spacetimeTrainee(config, channels),
  parity: spacetimeParity,
};
