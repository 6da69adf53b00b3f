/** `nextx reproduce FILE`: the same picture again from the recipe inside it. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { reproducePicture } from "../../picture.node.ts";
import { readPictureRecipe } from "../../picture.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { addDeviceFlags, type DeviceFlags, deviceOptions } from "../deviceFlags.ts";
import { readUserFile, requirePictureReplaceable, writeOutput } from "../files.ts";
import { print, printJson } from "../output.ts";

interface Flags extends DeviceFlags {
  readonly out?: string;
  readonly model?: string;
  readonly force?: boolean;
}

/** Declares the command. */
export function define(command: Command, context: Context): void {
  addDeviceFlags(command)
    .argument("<file>", "a PNG that nextx made")
    .option("-o, --out <file>", "PNG to write; without it the recipe is only shown")
    .option("--model <model>", "where the model is when it does not ship with nextx")
    .option("--force", "replace a file that nextx did not make")
    .option("--json", "machine output")
    .action((file: string, flags: Flags) => run(file, flags, context));
}

async function run(file: string, flags: Flags, { version, json }: Context): Promise<void> {
  const bytes = readUserFile(file);
  if (flags.out === undefined) {
    const recipe = readPictureRecipe(bytes, file);
    return json ? printJson({ recipe }) : print(JSON.stringify(recipe, null, 2));
  }
  requirePictureReplaceable(flags.out, flags.force === true);
  const { png } = await reproducePicture(bytes, file, version, {
    ...(flags.model !== undefined && { modelName: flags.model }),
    ...deviceOptions(flags),
  });
  const same = Buffer.compare(png, bytes) === 0;
  const isOver = resolve(flags.out) === resolve(file);
  if (same || !isOver) await writeOutput(flags.out, png); // the original stays
  if (json) printJson({ out: flags.out, same });
  else if (same || !isOver) print(`${flags.out}: ${same ? "the same bytes" : "other bytes"} as ${file}`);
  if (!same) {
    const what = isOver ? "What came out" : flags.out;
    throw new NextxError("REPRODUCE_DIFFERS", `${what} differs from ${file}.`, {
      path: flags.out,
      hint: "Equal pictures are promised on the same machine with the same versions and threads.",
    });
  }
}
