/** The tokens that a stage over a frozen tokenizer needs: of the training pictures, and of the first held-out ones. */
import { inOrder } from "../data/loader.ts";
import { heldOut } from "./observing.ts";
import { type DataRecipe, loaderOf } from "./stageRecipe.ts";
import type { StageContext } from "./system.ts";
import { type TokeniseRequest, type TokenSplits, tokenise } from "./tokenSet.ts";

type TokenizerRequest = Pick<TokeniseRequest, "graph" | "values" | "weights" | "plan" | "pictureShape">;

/** Tokenises `tokenImages` training pictures as the recipe varies them, and held-out ones as they are. Errors: ABORTED. */
export function tokenSplits(
  request: TokenizerRequest,
  data: DataRecipe,
  tokenImages: number,
  context: StageContext,
): Promise<TokenSplits> {
  const { tokens: cache, seed } = context;
  if (cache === undefined) return makeSplits(request, data, tokenImages, context);
  const sides = request.plan.groups.map(({ side }) => side);
  const key = JSON.stringify({ data, tokenImages, seed, sides });
  const known = cache.get(key);
  if (known !== undefined) return known;
  const made = makeSplits(request, data, tokenImages, context);
  cache.set(key, made);
  made.catch(() => cache.delete(key)); // a failure is told to its caller, and tried again
  return made;
}

async function makeSplits(
  request: TokenizerRequest,
  data: DataRecipe,
  tokenImages: number,
  { data: open, seed, device, onProgress, signal }: StageContext,
): Promise<TokenSplits> {
  const [set, validation] = [await open("train"), await open("validation")];
  const common = { ...request, device, ...(signal && { signal }) };
  const tokens = await tokenise({
    ...common,
    loader: loaderOf(data, set, Math.min(32, set.length), seed),
    count: tokenImages,
    onProgress: (done) => onProgress("tokenising", done, tokenImages),
  });
  const count = Math.min(heldOut.transformer, validation.length);
  const heldOutTokens = await tokenise({ ...common, loader: inOrder(validation), count });
  return { set, validation, tokens, heldOutTokens };
}
