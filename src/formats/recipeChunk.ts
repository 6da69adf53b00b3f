/**
 * The recipe inside a picture: a PNG text chunk with the keyword `nextx` whose text is one JSON object in ASCII (other
 * characters are written as \uXXXX, because PNG text is Latin-1). Recipes come from strangers: sizes and depth are capped.
 */
import { NextxError } from "../tensor/errors.ts";
import { isJsonObject, parseStrictJson } from "./strictJson.ts";

/** Keyword of the text chunk. */
export const recipeKeyword = "nextx";
const maxRecipeBytes = 2 ** 20;
const maxDepth = 64;
const maxRecipeValues = 100_000;

/** What made a picture: a JSON object; its schema belongs to whoever reads it. */
export type Recipe = Readonly<Record<string, unknown>>;

function badRecipe(path: string, message: string, cause?: unknown): NextxError {
  return new NextxError("PNG_BAD_RECIPE", `The recipe in ${path} ${message.replace(/\.$/, "")}.`, {
    path,
    hint: "Use the picture as nextx wrote it, not edited by another program.",
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The recipe as ASCII text. @throws NextxError PNG_BAD_RECIPE for what could not be read again */
export function recipeToText(recipe: Recipe): string {
  const path = "memory";
  let text: string | undefined;
  try {
    text = JSON.stringify(recipe);
  } catch (cause) {
    throw badRecipe(path, "cannot be written as JSON", cause);
  }
  const ascii = (text ?? "").replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  requireRecipe(new TextEncoder().encode(ascii), path);
  return ascii;
}

/** A recipe from the text of its chunk (the bytes after the keyword). @throws NextxError PNG_BAD_RECIPE */
export function recipeFromText(bytes: Uint8Array, path: string): Recipe {
  if (bytes.some((byte) => byte > 126)) throw badRecipe(path, "is not ASCII");
  requireRecipe(bytes, path);
  return JSON.parse(new TextDecoder().decode(bytes)) as Recipe; // an object, as just seen
}

/** One JSON object that every reader understands alike: no duplicate keys, no lone surrogates, not deep, not long. */
function requireRecipe(bytes: Uint8Array, path: string): void {
  if (bytes.length > maxRecipeBytes) throw badRecipe(path, "is longer than 1 MiB");
  let isObject: boolean;
  try {
    isObject = isJsonObject(parseStrictJson(bytes, { maxDepth, maxValues: maxRecipeValues }));
  } catch (cause) {
    const reason = cause instanceof NextxError ? cause.message : "it cannot be parsed";
    throw badRecipe(path, `is not JSON as it should be: ${reason}`, cause);
  }
  if (!isObject) throw badRecipe(path, "is not an object");
}
