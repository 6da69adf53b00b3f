/** The static report of a run, next to it. */
import { join } from "node:path";
import { writeFileDurably } from "./formats/durable.node.ts";
import { reportOfRun } from "./regimen/runReport.node.ts";

/** Writes `report.html` into a run folder; returns its path. @throws NextxError RUN_ and FILE_ codes */
export async function writeRunReport(folder: string): Promise<string> {
  const path = join(folder, "report.html");
  await writeFileDurably(path, await reportOfRun(folder));
  return path;
}
