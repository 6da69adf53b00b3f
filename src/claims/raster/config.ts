/** Configuration of the next-token baseline: a scale-wise pair with one scale, the finest, and no phi. */
import { z } from "zod";
import { tokenizerSchema, transformerSchema } from "../../regimen/multiScaleConfig.ts";

export const rasterConfigSchema = z
  .strictObject({ tokenizer: tokenizerSchema, transformer: transformerSchema })
  .refine(({ tokenizer }) => tokenizer.patchNums.length === 1 && tokenizer.quantResi === 0, {
    error: "the baseline codes one map, without phi",
    path: ["tokenizer"],
  })
  .refine(({ tokenizer, transformer }) => String(tokenizer.patchNums) === String(transformer.patchNums), {
    error: "the transformer predicts the tokenizer's map",
    path: ["transformer", "patchNums"],
  });
export type RasterConfig = z.infer<typeof rasterConfigSchema>;

/** The single-scale tokenizer with a scale-wise one's encoder, decoder and codebook size. */
export function singleScale<T extends { readonly patchNums: readonly number[] }>(tokenizer: T) {
  return { ...tokenizer, patchNums: tokenizer.patchNums.slice(-1), quantResi: 0 };
}
