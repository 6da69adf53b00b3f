/** The form as plain data: what to make, and how it is asked for, told to a terminal, and read from a picture. */
import { maxPictures } from "../src/server/limits.ts";
import type { GenerateInput, ModelInfo } from "../src/server/protocol.ts";
import type { PictureRecipe } from "./api.ts";
import { trainedHere } from "./trainings.ts";

/** A model with its settings; two of them are compared on the same noise. */
export interface Side {
  model: string;
  settings: Record<string, unknown>;
}

export interface Edit {
  /** PNG in base64, square, in the model's size. */
  readonly png: string;
  box: { y0: number; x0: number; y1: number; x1: number };
  /** Instead of the box: a drawing, PNG in base64, white where painted. */
  mask?: string | undefined;
  where: "inside" | "outside";
}

export interface FormValues {
  sides: Side[];
  /** Empty: all classes, or with an edit no class. */
  classes: number[];
  count: number;
  seed: number;
  first: number;
  edit: Edit | undefined;
}

/** Pictures per row: about `wanted`, and no half-empty last row where that can be. */
export function balancedColumns(count: number, wanted: number): number {
  const least = Math.min(count, Math.max(1, Math.round(wanted)));
  for (let columns = least; columns <= Math.min(count, Math.max(least + 1, 1.5 * least)); columns++) {
    if (count % columns === 0) return columns;
  }
  return least;
}

export const maxSeed = Number.MAX_SAFE_INTEGER;
export const startBox = { y0: 0.25, x0: 0.25, y1: 0.75, x1: 0.75 };

const within = (value: number, min: number, max: number): number =>
  Math.min(max, Math.max(min, Math.floor(value) || 0));

/** The form with numbers that can be asked for; fields may hold anything, or nothing. */
export const bounded = (form: FormValues): FormValues => ({
  ...form,
  count: within(form.count, 1, maxPictures),
  seed: within(form.seed, 0, maxSeed),
  classes: form.classes.slice(0, maxPictures),
});

/** Whether a form asks for more than is made at once. */
export const isTooMuch = ({ count, classes }: FormValues): boolean =>
  count > maxPictures || classes.length > maxPictures;

export function sideOf(model: ModelInfo): Side {
  return { model: model.id, settings: { ...model.defaults } };
}

/** What the server is asked for one side. */
export function requestOf({ classes, count, seed, first, edit }: FormValues, side: Side): GenerateInput {
  return {
    model: side.model,
    settings: side.settings,
    count,
    seed,
    first,
    columns: balancedColumns(count, Math.sqrt(1.5 * count)),
    ...(classes.length > 0 && { class: [...classes] }),
    ...(edit && {
      edit: {
        ...{ png: edit.png, where: edit.where },
        ...(edit.mask === undefined ? { box: edit.box } : { mask: edit.mask }),
      },
    }),
  };
}

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** As one word of a shell. */
const quoted = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** Name of the file that a model of this page or of the server's files must be saved to; undefined for others. */
export function fileToSave(model: string): string | undefined {
  if (model === trainedHere) return `${trainedHere}.safetensors`;
  const name = /^file:(.+)-[0-9a-f]{6}$/.exec(model)?.[1];
  return name && `${name}.safetensors`;
}

/**
 * The same on the command line. A model that only the page or the server's files have must be saved first, as `file`;
 * likewise an edit's picture.
 */
export function commandOf(
  { classes, count, seed, first, edit }: FormValues,
  { model, settings }: Side,
  file = fileToSave(model),
): string {
  const flags = Object.entries(settings).map(([name, value]) => {
    if (typeof value === "boolean") return value ? `--${kebab(name)}` : `--no-${kebab(name)}`;
    return `--${kebab(name)} ${quoted(String(value))}`;
  });
  const sides = edit && [edit.box.y0, edit.box.x0, edit.box.y1, edit.box.x1];
  const part =
    edit?.mask === undefined ? `--box ${sides?.map((side) => side.toFixed(3)).join(",")}` : "--mask mask.png";
  return [
    `npx nextx sample ${quoted(file ?? model.replace(/^run:/, "runs/"))}`,
    classes.length > 0 ? `--class ${classes.join(",")}` : "",
    `--count ${count} --seed ${seed}`,
    first > 0 ? `--first ${first}` : "",
    edit ? `--edit source.png ${part}${edit.where === "outside" ? " --outpaint" : ""}` : "",
    ...flags,
    `--out sample.png`,
  ]
    .filter((part) => part !== "")
    .join(" ");
}

/** Classes whose cycle gives these labels; empty for none, or, without an edit, for all of them in turn. */
function classesOf({ labels, first = 0, edit }: PictureRecipe, numClasses: number): number[] {
  const numbers = labels.filter((label) => label !== null);
  const inTurn = numbers.length > 1 && numbers.every((label, i) => label === (first + i) % numClasses);
  if (inTurn && !edit) return [];
  for (let period = 1; period <= numbers.length; period++) {
    if (numbers.every((label, i) => label === numbers[i % period])) return numbers.slice(0, period);
  }
  return numbers;
}

/** The form that makes a picture again. */
export function formOfRecipe(recipe: PictureRecipe, model: ModelInfo): FormValues {
  const { labels, seed, first = 0, settings, edit } = recipe;
  return {
    sides: [{ model: model.id, settings: { ...settings } }],
    classes: classesOf(recipe, model.classNames.length),
    count: labels.length,
    seed,
    first,
    edit: edit && {
      ...{ png: edit.png, mask: edit.mask, where: edit.where ?? "inside" },
      box: { ...startBox, ...edit.box },
    },
  };
}
