/** Pictures from files: as the source of an edit, and made again from the recipe that they carry. */
import { fitSquare } from "./data/fitSquare.ts";
import { pictureMask } from "./data/pictureMask.ts";
import { fromBase64 } from "./formats/base64.ts";
import { decodeImage } from "./formats/imageFile.node.ts";
import { isPng } from "./formats/pngChunks.ts";
import { type LoadOptions, load } from "./load.node.ts";
import { shippedModels } from "./models.node.ts";
import { type Picture, type PictureRecipe, readPictureRecipe, samplePicture } from "./picture.ts";
import type { EditRequest } from "./regimen/system.ts";
import { imageSystems } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";

/**
 * A picture file as the source of an edit: its middle square in the model's size.
 * @throws NextxError EDIT_BAD_PICTURE for a grid of several pictures, and those of decoding
 */
export async function editSource(bytes: Uint8Array, path: string, size: number): Promise<Uint8Array> {
  const count = picturesIn(bytes, path);
  if (count > 1) {
    throw new NextxError("EDIT_BAD_PICTURE", `${path} is a grid of ${count} pictures; one is edited.`, {
      path: "edit",
      hint: "Make one: --count 1, with --first N for the one after N others.",
    });
  }
  return fitSquare(await decodeImage(bytes, path), size);
}

/** What an edit is made from: files as they were read, a box or a mask. */
export interface EditFiles {
  readonly picture: Uint8Array;
  readonly box?: EditRequest["box"] | undefined;
  /** A picture, light where marked. */
  readonly mask?: Uint8Array | undefined;
  readonly where: EditRequest["where"];
}

/** The edit that files ask for, in the model's size. @throws NextxError EDIT_BAD_PICTURE, and those of decoding */
export async function editOf(
  { picture, box, mask, where }: EditFiles,
  size: number,
  names: { readonly picture: string; readonly mask: string },
): Promise<EditRequest> {
  return {
    pixels: await editSource(picture, names.picture, size),
    ...(box && { box }),
    ...(mask && { mask: pictureMask(await decodeImage(mask, names.mask), size) }),
    where,
  };
}

/** How many pictures a file says that it holds; 1 for a file that says nothing. */
function picturesIn(bytes: Uint8Array, path: string): number {
  try {
    return isPng(bytes) ? readPictureRecipe(bytes, path).labels.length : 1;
  } catch {
    return 1; // no recipe of ours: decoding says what is wrong with it
  }
}

/** A name that leads to a model of this package: files that a recipe names are not opened. @throws NextxError MODEL_NOT_FOUND */
function requireShipped({ model: name, sha256 }: PictureRecipe, path: string): string {
  const shipped = shippedModels();
  const own = shipped.find(({ card }) => card.sha256 === sha256); // whatever it was called
  if (own) return own.name;
  if (shipped.some((model) => model.name === name || (imageSystems.has(name) && model.card.system === name)))
    return name; // of another version: the difference is told
  throw new NextxError("MODEL_NOT_FOUND", `${path} was made with a model that does not ship: ${name}.`, {
    path: name,
    hint: "Say where it is: --model FOLDER or --model FILE.",
  });
}

/**
 * Makes a picture again. `modelName` says where the model is when it does not ship with nextx.
 * @throws NextxError MODEL_NOT_FOUND, REPRODUCE_OTHER_MODEL and those of readPictureRecipe, load and sampling
 */
export async function reproducePicture(
  png: Uint8Array,
  path: string,
  version: string,
  { modelName, ...device }: LoadOptions & { readonly modelName?: string } = {},
): Promise<Picture> {
  const recipe = readPictureRecipe(png, path);
  using model = await load(modelName ?? requireShipped(recipe, path), device);
  if (model.sha256 !== recipe.sha256) {
    throw new NextxError(
      "REPRODUCE_OTHER_MODEL",
      `${path} was made with ${recipe.model} ${recipe.sha256.slice(0, 12)}, this is ${model.sha256.slice(0, 12)}.`,
      { path, hint: "Name the file it was made with: --model FILE." },
    );
  }
  const edit =
    recipe.edit &&
    (await editOf(
      {
        ...{ picture: fromBase64(recipe.edit.png), box: recipe.edit.box, where: recipe.edit.where },
        mask: recipe.edit.mask === undefined ? undefined : fromBase64(recipe.edit.mask),
      },
      model.imageSize,
      { picture: path, mask: path },
    ));
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
    recipe.model,
  );
}
