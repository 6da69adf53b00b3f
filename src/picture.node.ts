/** Pictures that carry how they were made, and making them again from that alone. */
import { z } from "zod";
import { composeContactSheet } from "./data/contactSheet.ts";
import { fitSquare } from "./data/fitSquare.ts";
import { decodeImage } from "./formats/imageFile.node.ts";
import { encodePng, type RgbImage, readPngRecipe } from "./formats/png.ts";
import { validate } from "./formats/validate.ts";
import { type LoadOptions, load, type Model } from "./load.node.ts";
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
    .strictObject({ png: z.string().max(2 ** 20), box: boxSchema, where: z.enum(["inside", "outside"]) })
    .optional(),
  made: z.strictObject({ nextx: z.string(), runtime: z.string() }),
});
export type PictureRecipe = z.infer<typeof pictureRecipeSchema>;

export interface PictureOptions extends SampleOptions {
  /** Pictures per row; as many as rows when absent. */
  readonly columns?: number;
  /** Whole-number enlargement. */
  readonly scale?: number;
  /** Called with the picture so far after every step, when previews are on. */
  readonly onPreview?: (picture: RgbImage, done: number, total: number) => void;
}

export interface Picture {
  readonly image: RgbImage;
  readonly png: Uint8Array;
  readonly recipe: PictureRecipe;
}

function arrange(pixels: Uint8Array, count: number, size: number, grid: PictureRecipe["grid"]): RgbImage {
  if (count === 1 && grid.scale === 1) return { width: size, height: size, pixels };
  return composeContactSheet(pixels, count, size, {
    ...grid,
    gap: count === 1 ? 0 : 2 * Math.min(grid.scale, 2),
  });
}

/** Samples a model into one PNG (a grid for several pictures) that carries its recipe. */
export async function samplePicture(
  model: Model,
  options: PictureOptions,
  version: string,
): Promise<Picture> {
  const { columns, scale, onPreview, ...rest } = options;
  const recipe = model.recipe(rest);
  const count = recipe.labels.length;
  const size = model.imageSize;
  const grid = gridOf(count, size, columns, scale);
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

function packEdit({ pixels, box, where }: EditRequest, size: number): NonNullable<PictureRecipe["edit"]> {
  const png = encodePng({ width: size, height: size, pixels });
  return { png: Buffer.from(png).toString("base64"), box, where };
}

/** A picture file as the source of an edit: its middle square in the model's size. */
export async function editSource(bytes: Uint8Array, path: string, size: number): Promise<Uint8Array> {
  return fitSquare(await decodeImage(bytes, path), size);
}

/** The recipe in a PNG. @throws NextxError PNG_ codes, CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE */
export function readPictureRecipe(png: Uint8Array, path: string): PictureRecipe {
  return validate(pictureRecipeSchema, readPngRecipe(png, path), path);
}

/**
 * Makes a picture again. `modelName` says where the model is when it does not ship with nextx.
 * @throws NextxError REPRODUCE_OTHER_MODEL and those of readPictureRecipe, load and sampling
 */
export async function reproducePicture(
  png: Uint8Array,
  path: string,
  version: string,
  { modelName, ...device }: LoadOptions & { readonly modelName?: string } = {},
): Promise<Picture> {
  const recipe = readPictureRecipe(png, path);
  using model = await load(modelName ?? recipe.model, device);
  if (model.sha256 !== recipe.sha256) {
    throw new NextxError(
      "REPRODUCE_OTHER_MODEL",
      `${path} was made with ${recipe.model} ${recipe.sha256.slice(0, 12)}, this is ${model.sha256.slice(0, 12)}.`,
      { path, hint: "Name the file it was made with: --model FILE." },
    );
  }
  const edit = recipe.edit && {
    box: recipe.edit.box,
    where: recipe.edit.where,
    pixels: await editSource(Buffer.from(recipe.edit.png, "base64"), path, model.imageSize),
  };
  const classes = recipe.labels.filter((label) => label !== null);
  return await samplePicture(
    model,
    {
      ...recipe.settings,
      ...(classes.length > 0 && { class: classes }),
      count: recipe.labels.length,
      seed: recipe.seed,
      ...(recipe.first !== undefined && { first: recipe.first }),
      ...recipe.grid,
      ...(edit && { edit }),
    },
    version,
  );
}
