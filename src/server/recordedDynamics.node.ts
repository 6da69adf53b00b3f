/** Measured training dynamics with their plots, and the measurement that ships. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { DynamicsReport } from "../evaluate/dynamics/measure.ts";
import { colourOf, dynamicsCharts } from "../evaluate/dynamics/page.ts";
import { packageRoot } from "../models.node.ts";
import type { MeasuredDynamics } from "./protocol.ts";

/** Reports beside the plots that show them. */
export const withCharts = (reports: readonly DynamicsReport[]): MeasuredDynamics => ({
  reports: reports.map((report) => ({ ...report })),
  charts: dynamicsCharts(reports),
  colours: reports.map((_, i) => colourOf(i)),
});

/** What pages show before anything was measured here: `nextx dynamics` on the models of SAR's story, as it was committed. */
export async function recordedDynamics(): Promise<MeasuredDynamics | undefined> {
  const path = join(packageRoot(), "results", "dynamics.json");
  if (!existsSync(path)) return undefined;
  const { models } = JSON.parse(await readFile(path, "utf8")) as { models: readonly DynamicsReport[] }; // our own file
  return withCharts(models);
}
