/** `nextx sample MODEL`: one PNG, a grid when there are several pictures, that carries its recipe. */
import { type Command, InvalidArgumentError } from "commander";
import { shellWord } from "../../formats/shellWord.ts";
import { load } from "../../load.node.ts";
import { isModelName, shippedModels } from "../../models.node.ts";
import { editOf } from "../../picture.node.ts";
import { type PictureOptions, samplePicture } from "../../picture.ts";
import type { EditRequest, ImageSystem } from "../../regimen/system.ts";
import { NextxError } from "../../tensor/errors.ts";
import { type Context, firstWord } from "../context.ts";
import { addDeviceFlags, type DeviceFlags, deviceOptions } from "../deviceFlags.ts";
import { readUserFile, requirePictureReplaceable, writeOutput } from "../files.ts";
import { addSchemaFlags, readSchemaFlags } from "../flags.ts";
import { integer } from "../numbers.ts";
import { interruptSignal, ProgressLine, print, printColoured, printJson } from "../output.ts";
import { subjectOf } from "../subject.ts";
import { showsImages, terminalImage } from "../terminalImage.ts";

interface Flags extends DeviceFlags, Readonly<Record<string, unknown>> {
  readonly class?: string;
  readonly count?: number;
  readonly seed: number;
  readonly first: number;
  readonly out: string;
  readonly columns?: number;
  readonly scale?: number;
  readonly edit?: string;
  readonly box?: EditRequest["box"];
  readonly mask?: string;
  readonly outpaint?: boolean;
  readonly previews?: boolean;
  readonly force?: boolean;
}

function parseBox(text: string): NonNullable<EditRequest["box"]> {
  const numbers = text.split(",").map(Number);
  const [y0, x0, y1, x1] = numbers;
  if (numbers.length !== 4 || numbers.some((n) => !(n >= 0 && n <= 1)))
    throw new InvalidArgumentError("A box is y0,x0,y1,x1 in fractions from 0 to 1.");
  return { y0, x0, y1, x1 } as NonNullable<EditRequest["box"]>; // four numbers
}

/** Declares the command. */
export async function define(command: Command, context: Context): Promise<void> {
  const { system, sampling } = await subjectOf(firstWord(context, isModelName));
  addDeviceFlags(command)
    .argument("<model>", "shipped model, system id, run folder or file")
    .option(
      "-c, --class <class,...>",
      "class number or name; several are taken in turn; all classes when absent",
    )
    .option("-n, --count <n>", "number of pictures", integer(1, 10_000))
    .option("-s, --seed <n>", "same seed, same pictures", integer(0, Number.MAX_SAFE_INTEGER), 0)
    .option("--first <n>", "number of the first picture: 3 makes the fourth of a grid", integer(0, 1e9), 0)
    .option("-o, --out <file>", "PNG to write", "sample.png")
    .option("--columns <n>", "pictures per row", integer(1, 1000))
    .option("--scale <n>", "whole-number enlargement", integer(1, 64))
    .option("--previews", "show every scale in the terminal")
    .option("--force", "replace a file that nextx did not make")
    .option("--json", "machine output");
  command
    .optionsGroup("Editing without training:")
    .option(
      "--edit <picture>",
      "keep this picture's tokens outside of what is marked (or inside: --outpaint)",
    )
    .option("--box <y0,x0,y1,x1>", "box in fractions of the picture (default: its middle)", parseBox)
    .option("--mask <picture>", "instead of a box, any form: a picture that is light where marked")
    .option("--outpaint", "make everything outside of what is marked new");
  addSchemaFlags(command, system.samplingSchema, `Settings of ${system.id}:`, sampling);
  command.action((name: string, flags: Flags) => run(name, flags, system, context));
}

async function readEdit(flags: Flags, size: number): Promise<EditRequest | undefined> {
  if (flags.edit === undefined) {
    if (flags.box === undefined && flags.mask === undefined && !flags.outpaint) return undefined;
    throw new NextxError("CLI_EDIT_NEEDS_PICTURE", "--box, --mask and --outpaint belong to --edit PICTURE.", {
      path: "edit",
    });
  }
  const middle = flags.mask === undefined ? { y0: 0.25, x0: 0.25, y1: 0.75, x1: 0.75 } : undefined;
  const files = {
    picture: readUserFile(flags.edit),
    box: flags.box ?? middle,
    mask: flags.mask === undefined ? undefined : readUserFile(flags.mask),
    where: flags.outpaint ? "outside" : "inside",
  } as const;
  return editOf(files, size, { picture: flags.edit, mask: flags.mask ?? "mask" });
}

async function run(
  name: string,
  flags: Flags,
  system: ImageSystem,
  { version, json }: Context,
): Promise<void> {
  requirePictureReplaceable(flags.out, flags.force === true);
  const signal = interruptSignal();
  using model = await load(name, deviceOptions(flags));
  const edit = await readEdit(flags, model.imageSize);
  const line = new ProgressLine(2000);
  const shows = flags.previews === true && showsImages();
  const options: PictureOptions = {
    ...readSchemaFlags(system.samplingSchema, flags),
    ...(flags.class !== undefined && { class: flags.class.split(",").map((part) => part.trim()) }),
    ...(flags.count !== undefined && { count: flags.count }),
    ...(flags.columns !== undefined && { columns: flags.columns }),
    ...(flags.scale !== undefined && { scale: flags.scale }),
    ...(edit && { edit }),
    seed: flags.seed,
    first: flags.first,
    signal,
    ...(shows && {
      onPreview: (image, done, total) => {
        printColoured(terminalImage(image, process.stdout.columns));
        line.update(`scale ${done} of ${total}`);
      },
    }),
  };
  const start = performance.now();
  const { png, image, recipe } = await samplePicture(model, options, version);
  await writeOutput(flags.out, png);
  line.end();
  const seconds = (performance.now() - start) / 1000;
  if (json) return printJson({ out: flags.out, width: image.width, height: image.height, seconds, recipe });
  if (showsImages() && !shows) printColoured(terminalImage(image, process.stdout.columns));
  const classes = [...new Set(recipe.labels)].map((label) =>
    label === null ? "no class" : model.classNames[label],
  );
  print(
    `${flags.out}: ${recipe.labels.length} x ${classes.slice(0, 4).join(", ")}${classes.length > 4 ? ", ..." : ""}`,
  );
  const ships = shippedModels().some((shipped) => shipped.name === model.name);
  const place = ships ? "" : ` --model ${shellWord(model.name)}`; // recipes name no folders, and no files are opened for them
  const again = `nextx reproduce ${shellWord(flags.out)}${place} --out again.png`;
  print(`seed ${recipe.seed}, ${seconds.toFixed(1)} s; again: ${again}`);
}
