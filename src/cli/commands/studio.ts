/** `nextx studio build FOLDER`: the studio as a static site whose pages compute by themselves. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Command } from "commander";
import { packageRoot } from "../../models.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { print, printJson } from "../output.ts";

interface Flags {
  readonly models?: readonly string[];
  readonly force?: boolean;
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const words = (text: string): string[] => text.split(",").filter((word) => word !== "");

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  command
    .command("build <folder>")
    .description("a static site: pages compute by themselves, on any host, offline after the first visit")
    .option("--models <ids>", "shipped models to put in, separated by commas (default: all)", words)
    .option("--force", "replace a site that is there")
    .option("--json", "machine output")
    .action((folder: string, flags: Flags) => build(folder, flags, json));
}

async function build(folder: string, { models, force }: Flags, json: boolean): Promise<void> {
  await ensureBuilt();
  const { buildSite } = await import("../../server/staticSite.node.ts");
  const report = await buildSite({
    folder,
    studio: join(packageRoot(), "dist/studio"),
    ...(models && { models }),
    ...(force && { force }),
  });
  if (json) {
    printJson(report);
    return;
  }
  print(
    `${folder}: ${report.files} files, ${megabytes(report.sizeBytes)}, models ${report.models.join(", ")}`,
  );
  print(`A first visit fetches ${megabytes(report.coreBytes)}, then the site works offline.`);
  print("Put the folder on any static host, below any path.");
}

/** In a checkout the studio is built when its sources changed; the package brings it along. */
async function ensureBuilt(): Promise<void> {
  const script = join(packageRoot(), "scripts/build.js");
  if (!existsSync(script)) return;
  try {
    const { ensureStudio } = await import(pathToFileURL(script).href);
    await ensureStudio(() => undefined);
  } catch (cause) {
    throw new NextxError("STUDIO_NOT_BUILT", "The studio could not be built.", {
      hint: "Try `node scripts/run.js build`, which says more.",
      cause,
    });
  }
}
