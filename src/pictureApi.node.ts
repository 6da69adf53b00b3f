/** Pictures for programs: files that carry their recipe, under the version of this package. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { LoadOptions } from "./load.node.ts";
import type { Model } from "./model.ts";
import { packageRoot } from "./models.node.ts";
import * as fromFiles from "./picture.node.ts";
import * as made from "./picture.ts";

const versionOf = (manifest: string): string =>
  (JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string }).version; // our own package.json
const packageVersion = (): string => versionOf(join(packageRoot(), "package.json"));

/**
 * Samples a model into one PNG, a grid for several pictures, that carries its recipe.
 * @throws NextxError SAMPLING_, LABEL_, EDIT_ and CONFIG_ codes, ABORTED
 */
export function samplePicture(model: Model, options: made.PictureOptions = {}): Promise<made.Picture> {
  return made.samplePicture(model, options, packageVersion());
}

/**
 * Makes a picture again from the recipe in its PNG. `modelName` says where the model is when it does not ship with nextx.
 * @throws NextxError PNG_NO_RECIPE, PNG_BAD_RECIPE, MODEL_NOT_FOUND, REPRODUCE_OTHER_MODEL, and the codes of sampling
 */
export function reproducePicture(
  png: Uint8Array,
  options: LoadOptions & { readonly modelName?: string } = {},
): Promise<made.Picture> {
  return fromFiles.reproducePicture(png, "the picture", packageVersion(), options);
}
