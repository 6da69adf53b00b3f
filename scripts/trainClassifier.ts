/**
 * `node scripts/run.js classifier SET [--data FOLDER] [--threads N] [--out FOLDER]`: trains the classifier of a data set
 * once, on its training split, and writes it with its card. It is frozen from then on: its hash goes into
 * src/evaluate/classifier/frozen.ts.
 */
import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { imageSets, isImageSetId, openImageSet, unknownImageSet } from "../src/data/imageSets.node.ts";
import type { Split } from "../src/data/types.ts";
import { dataRootFromEnvironment } from "../src/environment.node.ts";
import { headlineAccuracy, trainClassifier } from "../src/evaluate/classifier/classifier.node.ts";
import { classifierRecipe, classifierRecipes } from "../src/evaluate/classifier/recipes.ts";
import { openCpu } from "../src/runtime/device.node.ts";

const percent = (rate: number): string => `${(100 * rate).toFixed(2)} %`;

/** Runs the script; returns the exit code: 1 when the target was missed. */
export async function main(root: string, args: readonly string[]): Promise<number> {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      data: { type: "string" },
      threads: { type: "string", default: "2" },
      out: { type: "string" },
    },
  });
  const [set] = positionals;
  if (set === undefined) {
    const sets = Object.keys(classifierRecipes).join(" | ");
    console.error(
      `Usage: node scripts/run.js classifier ${sets} [--data FOLDER] [--threads N] [--out FOLDER]`,
    );
    return 2;
  }
  if (!isImageSetId(set)) throw unknownImageSet(set);
  const recipe = classifierRecipe(set);
  const dataRoot = values.data ?? dataRootFromEnvironment();
  const open = (split: Split) =>
    openImageSet(set, { size: recipe.size, split, ...(dataRoot !== undefined && { dataRoot }) });
  const threads = Number(values.threads);
  const device = await openCpu({ threads });
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const folder = values.out ?? join(root, "models", "classifiers", `${set}-${recipe.size}`);
  const card = await trainClassifier({
    recipe,
    train: await open("train"),
    heldOut: await open("test"),
    folder,
    device,
    licence: imageSets[set].licence,
    provenance: {
      command: `node scripts/run.js classifier ${set}`,
      ...{ version, runtime: device.runtime, node: process.version, threads },
      machine: cpus()[0]?.model ?? "unknown",
    },
    onStep: ({ step, loss, metrics }, steps) => {
      if (step % 100 === 0 || step === steps)
        console.log(`step ${step} of ${steps}: loss ${loss.toFixed(3)}, class ${metrics.class}`);
    },
  });
  for (const [head, rate] of Object.entries(card.accuracy)) console.log(`  ${head}: ${percent(rate)}`);
  const reached = headlineAccuracy(card.accuracy);
  const verdict = reached >= recipe.target ? "reached" : "missed";
  console.log(`held-out ${percent(reached)}, target ${percent(recipe.target)}: ${verdict}`);
  console.log(`sha256 ${card.sha256}`);
  return verdict === "reached" ? 0 : 1;
}
