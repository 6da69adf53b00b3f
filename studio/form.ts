/** The form as plain data: what to make, and how it is asked for, told to a terminal, and read from a picture. */
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
    ...(edit && { edit: { png: edit.png, box: edit.box, where: edit.where } }),
  };
}

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** What the command line calls a model; one trained in the page must be saved first. */
const fileOf = (model: string): string =>
  model === trainedHere ? `${trainedHere}.safetensors` : model.replace(/^run:/, "runs/");

/** The same on the command line; an edit's picture must be saved first. */
export function commandOf(
  { classes, count, seed, first, edit }: FormValues,
  { model, settings }: Side,
): string {
  const flags = Object.entries(settings).map(([name, value]) => {
    if (typeof value === "boolean") return value ? `--${kebab(name)}` : `--no-${kebab(name)}`;
    return `--${kebab(name)} ${String(value)}`;
  });
  const box =
    edit && [edit.box.y0, edit.box.x0, edit.box.y1, edit.box.x1].map((side) => side.toFixed(3)).join(",");
  return [
    `npx nextx sample ${fileOf(model)}`,
    classes.length > 0 ? `--class ${classes.join(",")}` : "",
    `--count ${count} --seed ${seed}`,
    first > 0 ? `--first ${first}` : "",
    edit ? `--edit source.png --box ${box}${edit.where === "outside" ? " --outpaint" : ""}` : "",
    ...flags,
    `--out sample.png`,
  ]
    .filter((part) => part !== "")
    .join(" ");
}

/** Classes whose cycle gives these labels; empty for all of them in turn, or none. */
function classesOf(labels: readonly (number | null)[], first: number, numClasses: number): number[] {
  const numbers = labels.filter((label) => label !== null);
  if (numbers.every((label, i) => label === (first + i) % numClasses) && numbers.length > 1) return [];
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
    classes: classesOf(labels, first, model.classNames.length),
    count: labels.length,
    seed,
    first,
    edit: edit && { png: edit.png, box: { ...edit.box }, where: edit.where ?? "inside" },
  };
}
