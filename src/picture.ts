/** Pictures that carry how they were made. */
import { z } from "zod";
import { composeContactSheet, contactSheetSize } from "./data/contactSheet.ts";
import { maskPicture } from "./data/pictureMask.ts";
import { toBase64 } from "./formats/base64.ts";
import { encodePng, type RgbImage, readPngRecipe } from "./formats/png.ts";
import { validate } from "./formats/validate.ts";
import type { Model } from "./model.ts";
import type { EditRequest } from "./regimen/system.ts";
import type { SampleOptions, SampleRecipe } from "./sampleRecipe.ts";
import { NextxError } from "./tensor/errors.ts";

const fraction = z.number().min(0).max(1);
const boxSchema = z.strictObject({ y0: fraction, x0: fraction, y1: fraction, x1: fraction });

/** What a picture says about itself: no time, path or host. */
const pictureRecipeSchema = z.strictObject({
  nextx: z.literal("sample"),
  version: z.literal(1),
  model: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  labels: z.array(z.int().min(0).nullable()).min(1).max(10_000),
  seed: z.int().min(0),
  first: z.int().min(1).optional(),
  settings: z.record(z.string(), z.unknown()),
  grid: z.strictObject({ columns: z.int().min(1).max(10_000), scale: z.int().min(1).max(64) }),
  edit: z
    .strictObject({
      png: z.base64().max(2 ** 20),
      box: boxSchema.optional(),
      /** PNG, white where marked. */
      mask: z
        .base64()
        .max(2 ** 20)
        .optional(),
      where: z.enum(["inside", "outside"]),
    })
    .refine(({ box, mask }) => (box === undefined) !== (mask === undefined), { error: "a box or a mask" })
    .optional(),
  made: z.strictObject({ nextx: z.string(), runtime: z.string() }),
});
/** All that a picture is made of, as its PNG carries it. */
export type PictureRecipe = z.infer<typeof pictureRecipeSchema>;

/** What `samplePicture` may be told. */
export interface PictureOptions extends SampleOptions {
  /** Pictures per row; as many as rows when absent. */
  readonly columns?: number;
  /** Whole-number enlargement. */
  readonly scale?: number;
  /** Called with the picture so far after every step, when previews are on. */
  readonly onPreview?: (picture: RgbImage, done: number, total: number) => void;
}

/** A picture, its PNG and the recipe inside it. */
export interface Picture {
  readonly image: RgbImage;
  readonly png: Uint8Array;
  readonly recipe: PictureRecipe;
}

/** Options of `samplePicture` that are no settings of a system: a recipe's settings may not name them. */
const reservedSettings = [
  "class",
  "count",
  "seed",
  "first",
  "previews",
  "edit",
  "signal",
  "columns",
  "scale",
  "onPreview",
] as const satisfies readonly (keyof PictureOptions)[];

const withGap = (count: number, grid: PictureRecipe["grid"]) => ({
  ...grid,
  gap: count === 1 ? 0 : 2 * Math.min(grid.scale, 2),
});

function arrange(pixels: Uint8Array, count: number, size: number, grid: PictureRecipe["grid"]): RgbImage {
  if (count === 1 && grid.scale === 1) return { width: size, height: size, pixels };
  return composeContactSheet(pixels, count, size, withGap(count, grid));
}

/** Refuses a grid that no PNG takes, before anything is sampled for it. */
function requireGrid(count: number, size: number, grid: PictureRecipe["grid"]): void {
  if (count === 1 && grid.scale === 1) return;
  const { width, height, fits } = contactSheetSize(count, size, withGap(count, grid));
  if (fits) return;
  throw new NextxError(
    "SAMPLING_BAD_OPTION",
    `The grid would have ${width} x ${height} pixels, more than 64 million.`,
    { path: "columns", hint: "Ask for fewer columns or pictures, or a smaller scale." },
  );
}

/**
 * Samples a model into one PNG (a grid for several pictures) that carries its recipe; `name` is what the recipe calls the
 * model, its own name when absent.
 * @throws NextxError SAMPLING_BAD_OPTION for a grid of more than 64 million pixels, and those of sampling
 */
export async function samplePicture(
  model: Model,
  options: PictureOptions,
  version: string,
  name?: string,
): Promise<Picture> {
  const { columns, scale, onPreview, ...rest } = options;
  const recipe = { ...model.recipe(rest), ...(name !== undefined && { model: name }) };
  const count = recipe.labels.length;
  const size = model.imageSize;
  const grid = gridOf(count, size, columns, scale);
  requireGrid(count, size, grid);
  let pixels = new Uint8Array(0);
  for await (const event of model.sample({ ...rest, previews: onPreview !== undefined })) {
    pixels = Uint8Array.from(event.pixels);
    onPreview?.(arrange(pixels, count, size, grid), event.done, event.total);
  }
  return packPicture(model, recipe, pixels, { grid, version, ...(rest.edit && { edit: rest.edit }) });
}

/** How pictures are laid out in one file; by default as square as can be, each about 96 pixels wide. */
export function gridOf(count: number, size: number, columns?: number, scale?: number): PictureRecipe["grid"] {
  return {
    columns: columns ?? Math.min(count, Math.max(1, Math.ceil(Math.sqrt(count)))),
    scale: scale ?? (count === 1 ? 1 : Math.max(1, Math.round(96 / size))),
  };
}

/** Finished pictures of a recipe (pixels n * size * size * 3) as one PNG that carries it. */
export function packPicture(
  model: Model,
  recipe: SampleRecipe,
  pixels: Uint8Array,
  { grid, edit, version }: { grid: PictureRecipe["grid"]; edit?: EditRequest; version: string },
): Picture {
  const size = model.imageSize;
  const full: PictureRecipe = {
    ...recipe,
    labels: [...recipe.labels],
    grid,
    ...(edit && { edit: packEdit(edit, size) }),
    made: { nextx: version, runtime: model.runtime },
  };
  const image = arrange(pixels, recipe.labels.length, size, grid);
  return { image, png: encodePng(image, { recipe: full }), recipe: full };
}

/** Pictures below each other, without gaps, as one PNG. */
export function packStrip(pixels: Uint8Array, size: number): Uint8Array {
  return encodePng({ width: size, height: pixels.length / size / 3, pixels });
}

/** Finished pictures of a request: each with its own recipe, and all of them as a grid. */
export function packEach(
  model: Model,
  options: SampleOptions,
  pixels: Uint8Array,
  { columns, version }: { readonly columns: number | undefined; readonly version: string },
): { readonly pictures: readonly Uint8Array[]; readonly grid: Uint8Array } {
  const { edit } = options;
  const shared = { version, ...(edit && { edit }) };
  const recipe = model.recipe(options);
  const { first = 0, ...rest } = recipe;
  const size = model.imageSize;
  const each = size * size * 3;
  const { labels } = recipe;
  const pictures = labels.map((label, i) => {
    const own = { ...rest, labels: [label], ...(first + i > 0 && { first: first + i }) };
    const one = pixels.subarray(i * each, (i + 1) * each);
    return packPicture(model, own, one, { ...shared, grid: gridOf(1, size) }).png;
  });
  const grid = gridOf(labels.length, size, columns);
  return { pictures, grid: packPicture(model, recipe, pixels, { ...shared, grid }).png };
}

function packEdit(
  { pixels, box, mask, where }: EditRequest,
  size: number,
): NonNullable<PictureRecipe["edit"]> {
  const png = encodePng({ width: size, height: size, pixels });
  const drawn = mask && toBase64(encodePng(maskPicture(mask, size)));
  return { png: toBase64(png), ...(box && { box }), ...(drawn !== undefined && { mask: drawn }), where };
}

/** The recipe in a PNG. @throws NextxError PNG_ codes, CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE */
export function readPictureRecipe(png: Uint8Array, path: string): PictureRecipe {
  const recipe = validate(pictureRecipeSchema, readPngRecipe(png, path), path);
  const reserved = reservedSettings.find((name) => Object.hasOwn(recipe.settings, name));
  if (reserved === undefined) return recipe;
  throw new NextxError("CONFIG_UNKNOWN_KEY", `sampling has no "${reserved}".`, {
    path: `${path}.settings.${reserved}`,
  });
}
