/** `nextx demo`: the story of SAR, or with a model's name a grid of its pictures; in the terminal and as a PNG. */
import type { Command } from "commander";
import { load } from "../../load.node.ts";
import { shippedModels } from "../../models.node.ts";
import { samplePicture } from "../../picture.ts";
import { canTellStory } from "../../refinementStory.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { requirePictureReplaceable, writeOutput } from "../files.ts";
import { integer } from "../numbers.ts";
import { interruptSignal, print, printColoured, printJson } from "../output.ts";
import { tellStory } from "../story.ts";
import { showsImages, terminalImage } from "../terminalImage.ts";

interface Flags {
  readonly seed: number;
  readonly seconds: number;
  readonly samples: number;
  readonly out?: string;
  readonly force?: boolean;
}

/** Declares the command. */
export function define(command: Command, context: Context): void {
  command
    .argument("[model]", "shipped model to draw a grid with; the story of SAR when absent")
    .option("-s, --seed <n>", "same seed, same pictures", integer(0, Number.MAX_SAFE_INTEGER), 7)
    .option("-o, --out <file>", "PNG to write (default: nextx-<model>.png, of the story nextx-demo.png)")
    .option("--seconds <n>", "of the story: how long the base is refined", integer(0, 3600), 60)
    .option("--samples <n>", "of the story: pictures per measurement", integer(12, 10_000), 2000)
    .option("--force", "replace a file that nextx did not make")
    .option("--json", "machine output")
    .action((model: string | undefined, flags: Flags) => run(model, flags, context));
}

async function run(name: string | undefined, flags: Flags, { version, json }: Context): Promise<void> {
  if (name === undefined && canTellStory()) {
    const { seconds, samples, seed, out = "nextx-demo.png", force = false } = flags;
    const story = { refineMs: 1000 * seconds, samples, seed, signal: interruptSignal() };
    return tellStory(story, { out, force, json, version });
  }
  const names = name === undefined ? shippedModels().map((model) => model.name) : [name];
  const [first] = names;
  if (first === undefined) {
    throw new NextxError("MODEL_NOT_FOUND", "No model ships with this copy.", {
      hint: "Train one: nextx train var --recipe synth-32",
    });
  }
  const signal = interruptSignal();
  const shown = flags.out === undefined ? names : [first];
  for (const model of shown) await one(model, flags, signal, version, json);
  if (json) return;
  print(`Try next:
  nextx sample ${first} --class 1 --seed 7 --out a.png
  nextx reproduce a.png --out b.png       the same bytes from the recipe inside the picture
  nextx sample ${first} --edit a.png      keep a picture's rim and make its middle new
  nextx train var --recipe smoke          train a tiny model from nothing in a minute
  nextx list                              systems, recipes, models, data
In a checkout, write \`npx nextx\` for \`nextx\`.`);
}

async function one(
  name: string,
  { seed, out = `nextx-${name}.png`, force }: Flags,
  signal: AbortSignal,
  version: string,
  json: boolean,
): Promise<void> {
  requirePictureReplaceable(out, force === true);
  const start = performance.now();
  using model = await load(name);
  const columns = Math.min(8, model.classNames.length);
  const { png, image, recipe } = await samplePicture(
    model,
    { count: 4 * columns, columns, seed, scale: Math.max(1, Math.round(64 / model.imageSize)), signal },
    version,
  );
  await writeOutput(out, png);
  const seconds = (performance.now() - start) / 1000;
  if (json) return printJson({ out, model: name, seconds, recipe });
  if (showsImages()) printColoured(terminalImage(image, process.stdout.columns));
  print(
    `${out}: ${recipe.labels.length} pictures by ${model.card?.title ?? name}, ${seconds.toFixed(1)} s from nothing\n`,
  );
}
