/**
 * `node scripts/run.js ship-arm SYSTEM ARM NAME --base MODEL --title T [--sampling JSON] [--claim JSON]`: puts the model that an arm of a claim trained into
 * models/NAME. Its card is the base's with the arm's own training and what the claim measured of it.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { sha256Hex } from "../src/formats/durable.node.ts";
import { decodeModel, encodeModel } from "../src/formats/modelFile.ts";
import { findModel } from "../src/models.node.ts";
import { writeShipped } from "./shipModel.ts";

const readJson = async (path: string) => JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;

/** A training arm's row as a stage of a card: its curve is of equal stretches of steps. */
function stageOf(arm: string, { minutes, numbers }: Record<string, unknown>) {
  const { steps, curve, validationLoss, validity } = numbers as {
    readonly steps: number;
    readonly curve: readonly number[];
    readonly validationLoss: number;
    readonly validity: number;
  };
  const loss = curve.map((value, i) => [Math.round(((i + 0.5) * steps) / curve.length), value]);
  return { arm, minutes, steps, heldOut: { validationLoss, validity }, curves: { loss } };
}

/** Runs the script; returns the exit code. */
export async function main(root: string, args: readonly string[]): Promise<number> {
  const text = { type: "string" } as const;
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { base: text, title: text, sampling: text, claim: text },
  });
  const [system, arm, name] = positionals;
  if (!(system && arm && name && values.base && values.title)) {
    console.error(
      "Usage: node scripts/run.js ship-arm SYSTEM ARM NAME --base MODEL --title TEXT [--sampling JSON] [--claim JSON]",
    );
    return 2;
  }
  const arms = join(root, "results", system, "arms");
  const row = await readJson(join(arms, `${arm}.json`));
  const { file, sha256 } = row.checkpoint as { file: string; sha256: string };
  const moved = await readFile(join(arms, file));
  if (sha256Hex(moved) !== sha256) throw new Error(`${file} is not what its row says.`);
  const base = await findModel(values.base);
  const weights = new Map([...base.weights, ...decodeModel(moved).weights]);
  const bytes = encodeModel({ description: base.description, weights }, "F16");
  const { stages, ...shared } = base.card as Record<string, unknown> & { sampling: object };
  const card = {
    ...shared,
    title: values.title,
    sha256: sha256Hex(bytes),
    base: { name: base.name, sha256: base.sha256 },
    command: `nextx claim ${system} --arms ${arm}`,
    stages: { ...(stages as object), refine: stageOf(arm, row) },
    ...(values.sampling && { sampling: JSON.parse(values.sampling) }),
    ...(values.claim && { claim: JSON.parse(values.claim) }),
  };
  await writeShipped(root, name, bytes, card);
  return 0;
}
