/**
 * The recipe inside a picture: a PNG text chunk with the keyword `nextx` whose text is one JSON object in ASCII (other
 * characters are written as \uXXXX, because PNG text is Latin-1). Recipes come from strangers: sizes and depth are capped.
 */
import { NextxError } from "../tensor/errors.ts";

/** Keyword of the text chunk. */
export const recipeKeyword = "nextx";
const maxRecipeBytes = 2 ** 20;
const maxDepth = 64;

/** What made a picture: a JSON object; its schema belongs to whoever reads it. */
export type Recipe = Readonly<Record<string, unknown>>;

function badRecipe(path: string, message: string, cause?: unknown): NextxError {
  return new NextxError("PNG_BAD_RECIPE", `The recipe in ${path} ${message}.`, {
    path,
    hint: "Use the picture as nextx wrote it, not edited by another program.",
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The recipe as ASCII text. @throws NextxError PNG_BAD_RECIPE when it is not JSON or longer than 1 MiB */
export function recipeToText(recipe: Recipe): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(recipe);
  } catch (cause) {
    throw badRecipe("memory", "cannot be written as JSON", cause);
  }
  if (!text?.startsWith("{")) throw badRecipe("memory", "is not an object");
  const ascii = text.replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  if (ascii.length > maxRecipeBytes) throw badRecipe("memory", "is longer than 1 MiB");
  return ascii;
}

/** A recipe from the text of its chunk (the bytes after the keyword). @throws NextxError PNG_BAD_RECIPE */
export function recipeFromText(bytes: Uint8Array, path: string): Recipe {
  if (bytes.length > maxRecipeBytes) throw badRecipe(path, "is longer than 1 MiB");
  if (bytes.some((byte) => byte > 126)) throw badRecipe(path, "is not ASCII");
  const text = new TextDecoder().decode(bytes);
  if (nesting(text) > maxDepth) throw badRecipe(path, `is nested more than ${maxDepth} levels deep`);
  let recipe: unknown;
  try {
    recipe = JSON.parse(text);
  } catch (cause) {
    throw badRecipe(path, "is not JSON", cause);
  }
  if (typeof recipe !== "object" || recipe === null || Array.isArray(recipe))
    throw badRecipe(path, "is not an object");
  return recipe as Recipe; // an object that came from JSON
}

/** Greatest number of brackets open at once outside strings. */
function nesting(text: string): number {
  let [open, most, inString] = [0, 0, false];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (inString && character === "\\") i++;
    else if (character === '"') inString = !inString;
    else if (!inString && (character === "{" || character === "[")) most = Math.max(most, ++open);
    else if (!inString && (character === "}" || character === "]")) open--;
  }
  return most;
}
