/** The tokens that a stage over a frozen tokenizer needs: of the training pictures, and of the first held-out ones. */
import { createLoader } from "../data/loader.ts";
import { heldOut } from "./observing.ts";
import { type DataRecipe, loaderOf } from "./stageRecipe.ts";
import type { StageContext } from "./system.ts";
import { type TokeniseRequest, tokenise } from "./tokenSet.ts";

/** Tokenises `tokenImages` training pictures as the recipe varies them, and held-out ones as they are. Errors: ABORTED. */
export async function tokenSplits(
  request: Pick<TokeniseRequest, "graph" | "values" | "weights" | "plan" | "pictureShape">,
  data: DataRecipe,
  tokenImages: number,
  { data: open, seed, device, onProgress, signal }: StageContext,
) {
  const [set, validation] = [await open("train"), await open("validation")];
  const common = { ...request, device, ...(signal && { signal }) };
  const tokens = await tokenise({
    ...common,
    loader: loaderOf(data, set, Math.min(32, set.length), seed),
    count: tokenImages,
    onProgress: (done) => onProgress("tokenising", done, tokenImages),
  });
  const count = Math.min(heldOut.transformer, validation.length);
  const inOrder = { batchSize: Math.min(32, count), seed: 0, shuffle: false };
  const heldOutTokens = await tokenise({ ...common, loader: createLoader(validation, inOrder), count });
  return { set, validation, tokens, heldOutTokens };
}
