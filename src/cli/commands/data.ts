/** `nextx data`: the picture data sets and whether they are there; `data get` downloads one, `data show` draws one. */
import { type Command, Option } from "commander";
import { composeClassSheet } from "../../data/classSheet.ts";
import {
  type ImageSetEntry,
  type ImageSetId,
  imageSets,
  isImageSetId,
  openImageSet,
  unknownImageSet,
} from "../../data/imageSets.node.ts";
import { fetchSetFiles, inspectSetFiles, type SetState } from "../../data/setFiles.node.ts";
import type { Split } from "../../data/types.ts";
import { dataRootFromEnvironment } from "../../environment.node.ts";
import { encodePng } from "../../formats/png.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { requirePictureReplaceable, writeOutput } from "../files.ts";
import { integer } from "../numbers.ts";
import { interruptSignal, ProgressLine, print, printJson } from "../output.ts";

interface Flags {
  readonly data?: string;
  /** The older name. */
  readonly dataRoot?: string;
}

interface ShowFlags extends Flags {
  readonly out: string;
  readonly size?: number;
  readonly split: Split;
  readonly perClass: number;
  readonly scale: number;
  readonly force?: boolean;
}

const rootOf = (flags: Flags): string | undefined =>
  flags.data ?? flags.dataRoot ?? dataRootFromEnvironment();
const addRoot = (command: Command): Command =>
  command
    .option("--data <folder>", "folder that holds the data sets (default: NEXTX_DATA)")
    .addOption(new Option("--data-root <folder>").hideHelp());
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  addRoot(command)
    .option("--json", "machine output")
    .action((flags: Flags) => list(flags, json));
  addRoot(command.command("get <set>"))
    .description("download what is missing of a set, checked by SHA-256")
    .option("--json", "machine output")
    .action((id: string, _: unknown, self: Command) => get(id, self.optsWithGlobals(), json));
  addRoot(command.command("show <set>"))
    .description("draw the first pictures of every class")
    .option("-o, --out <file>", "PNG to write", "sheet.png")
    .option("--size <n>", "side in pixels (default: the set's smallest)", integer(8, 512))
    .option("--split <split>", "train, validation or test", "train")
    .option("-n, --per-class <n>", "pictures of each class", integer(1, 100), 12)
    .option("--scale <n>", "whole-number enlargement", integer(1, 64), 1)
    .option("--force", "replace a file that nextx did not make")
    .option("--json", "machine output")
    .action((id: string, _: unknown, self: Command) => show(id, self.optsWithGlobals(), json));
}

function entryOf(id: string): ImageSetEntry {
  if (!isImageSetId(id)) throw unknownImageSet(id);
  return imageSets[id];
}

interface Listed {
  readonly id: string;
  readonly description: string;
  readonly licence: string;
  readonly figuresOnly: boolean;
  readonly sizes: readonly number[] | null;
  readonly folder: string | null;
  readonly downloadable: boolean;
  /** `built in` needs no files, `yours` is the user's folder, `no folder` means that no data root was given. */
  readonly state: SetState["state"] | "built in" | "yours" | "no folder";
  readonly files: SetState["files"];
}

async function look(id: ImageSetId, root: string | undefined, signal: AbortSignal): Promise<Listed> {
  const { description, licence, figuresOnly, sizes, home }: ImageSetEntry = imageSets[id];
  const found = home && root !== undefined ? await inspectSetFiles(home, root, signal) : undefined;
  return {
    id,
    description,
    licence,
    figuresOnly: figuresOnly === true,
    sizes: sizes ?? null,
    folder: home?.folder ?? null,
    downloadable: home?.baseUrl !== undefined,
    state: found?.state ?? (home ? "no folder" : id === "folder" ? "yours" : "built in"),
    files: found?.files ?? [],
  };
}

async function list(flags: Flags, json: boolean): Promise<void> {
  const [root, signal] = [rootOf(flags), interruptSignal()];
  const sets: Listed[] = [];
  for (const id of Object.keys(imageSets)) if (isImageSetId(id)) sets.push(await look(id, root, signal));
  if (json) return printJson({ dataRoot: root ?? null, sets });
  print(root === undefined ? "No data folder: pass --data or set NEXTX_DATA." : `Data folder: ${root}`);
  for (const { id, state, sizes, description, licence, downloadable, files } of sets) {
    print(
      `  ${id.padEnd(14)} ${state.padEnd(9)} ${sizes ? `${sizes.join(", ")} px` : "any size"}; ${licence}`,
    );
    print(`  ${"".padEnd(24)} ${description}`);
    const bad = files.filter((file) => file.state !== "present");
    if (bad.length > 0 && bad.length < files.length)
      print(`  ${"".padEnd(24)} ${bad.map((file) => `${file.name} is ${file.state}`).join(", ")}`);
    if (downloadable && state !== "present") print(`  ${"".padEnd(24)} nextx data get ${id}`);
  }
}

async function get(id: string, flags: Flags, json: boolean): Promise<void> {
  const { home } = entryOf(id);
  if (!home) {
    if (json) return printJson({ id, files: [] });
    return print(id === "folder" ? "Your own pictures need no download." : `${id} is drawn on demand.`);
  }
  const root = rootOf(flags);
  if (root === undefined) {
    throw new NextxError("DATA_NO_ROOT", `${id} needs a folder to go to.`, {
      path: "data",
      hint: "Pass --data FOLDER or set NEXTX_DATA.",
    });
  }
  const line = new ProgressLine();
  try {
    const files = await fetchSetFiles(id, home, root, {
      signal: interruptSignal(),
      onProgress: (name, received, total) => {
        if (!json) line.update(`${name}  ${megabytes(received)} of ${megabytes(total)}`);
      },
    });
    line.end();
    if (json) return printJson({ id, dataRoot: root, folder: home.folder, files });
    for (const { name, did } of files) print(`${did.padEnd(10)} ${home.folder}/${name}`);
  } finally {
    line.end();
  }
}

async function show(id: string, flags: ShowFlags, json: boolean): Promise<void> {
  const size = flags.size ?? entryOf(id).sizes?.[0] ?? 32;
  requirePictureReplaceable(flags.out, flags.force === true);
  const { split, out, perClass, scale } = flags;
  const dataRoot = rootOf(flags);
  const set = await openImageSet(id, { size, split, ...(dataRoot !== undefined && { dataRoot }) });
  const { image, counts } = composeClassSheet(set, perClass, scale);
  const { width, height } = image;
  const recipe = {
    kind: "data-sheet",
    data: { set: id, size, split, version: set.version },
    perClass,
    scale,
  };
  await writeOutput(out, encodePng(image, { recipe }));
  const rows = set.classNames.map((name, i) => ({ class: name, pictures: counts[i] ?? 0 }));
  if (json)
    return printJson({
      out,
      width,
      height,
      set: id,
      size,
      split,
      length: set.length,
      version: set.version,
      rows,
    });
  print(`${out}: ${id} at ${size} px, ${split} split of ${set.length}; rows from top to bottom:`);
  for (const row of rows) print(`  ${row.class} (${row.pictures})`);
}
