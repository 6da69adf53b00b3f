/**
 * `node scripts/run.js ship RUN NAME --licence L --title T`: puts a finished run's model into models/NAME with its card
 * and a grid of samples. The card says how the model was made and how good it is, from the run folder and nothing else.
 */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { imageSets, isImageSetId } from "../src/data/imageSets.node.ts";
import { sha256Hex, writeFileDurably } from "../src/formats/durable.node.ts";
import { load } from "../src/load.node.ts";
import { samplePicture } from "../src/picture.ts";
import type { MetricsRow } from "../src/regimen/runFolderMetrics.ts";
import { RunReader } from "../src/regimen/runFolderReader.node.ts";
import { modelFileName } from "../src/regimen/trainRun.node.ts";

const maxCurvePoints = 60;

/** A stage as its card tells it: last held-out figures, and curves of a bounded number of points. */
async function stageCard(path: string) {
  const run = await RunReader.read(path);
  const rows = await run.metrics();
  const heldOut = rows.filter((row) => row.loss === undefined);
  const trained = rows.filter((row) => row.loss !== undefined);
  const stride = Math.max(1, Math.ceil(trained.length / maxCurvePoints));
  const round = (value: unknown) => (typeof value === "number" ? Number(value.toPrecision(5)) : value);
  const rounded = (row: MetricsRow | undefined) =>
    Object.fromEntries(
      Object.entries(row ?? {}).map(([name, value]) => [
        name,
        Array.isArray(value) ? value.map(round) : round(value),
      ]),
    );
  return {
    steps: rows.at(-1)?.step ?? 0,
    last: rounded(trained.at(-1)),
    heldOut: rounded(heldOut.at(-1)),
    curves: {
      loss: trained.filter((_, i) => i % stride === 0).map((row) => [row.step, round(row.loss)]),
      heldOut: heldOut.map(rounded),
    },
  };
}

/** A model's file, card and a grid of its samples in models/NAME. */
export async function writeShipped(
  root: string,
  name: string,
  bytes: Uint8Array,
  card: { readonly sha256: string; readonly sampling: object },
): Promise<void> {
  const folder = join(root, "models", name);
  await mkdir(folder, { recursive: true });
  await writeFileDurably(join(folder, modelFileName), bytes);
  await writeFileDurably(join(folder, "card.json"), `${JSON.stringify(card, null, 1)}\n`);
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  using model = await load(name); // so that its samples say which
  const columns = Math.min(8, model.classNames.length);
  const options = { ...card.sampling, count: 4 * columns, columns, seed: 7, scale: 2 };
  const { png } = await samplePicture(model, options, version);
  await writeFileDurably(join(folder, "samples.png"), png);
  console.log(`models/${basename(name)}: ${bytes.length} bytes, ${card.sha256}`);
}

/** Runs the script; returns the exit code. */
export async function main(root: string, args: readonly string[]): Promise<number> {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      licence: { type: "string" },
      title: { type: "string" },
      sampling: { type: "string", default: "{}" },
    },
  });
  const [run, name] = positionals;
  if (run === undefined || name === undefined || !values.licence || !values.title) {
    console.error("Usage: node scripts/run.js ship RUN NAME --licence TEXT --title TEXT [--sampling JSON]");
    return 2;
  }
  const reader = await RunReader.read(run);
  const bytes = await readFile(join(run, modelFileName));
  const stages = (await readdir(run)).filter((name) => /^\d+-/.test(name)).sort();
  const config = reader.config as { system: string; seed: number; data: { set: string } };
  const set = config.data.set;
  if (isImageSetId(set) && imageSets[set].figuresOnly) {
    console.error(`Nothing made from ${set} may ship: ${imageSets[set].licence}.`);
    return 1;
  }
  const card = {
    title: values.title,
    system: config.system,
    licence: values.licence,
    data: config.data.set,
    seed: config.seed,
    sha256: sha256Hex(bytes),
    sampling: JSON.parse(values.sampling),
    recipe: reader.config,
    provenance: reader.provenance,
    command: `nextx train ${config.system} --recipe ${(reader.provenance as { recipe?: string }).recipe}`,
    stages: Object.fromEntries(
      await Promise.all(stages.map(async (stage) => [stage.slice(2), await stageCard(join(run, stage))])),
    ),
  };
  await writeShipped(root, name, bytes, card);
  return 0;
}
