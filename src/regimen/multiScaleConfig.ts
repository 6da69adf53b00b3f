/**
 * Configuration of a multi-scale residual tokenizer and of a transformer over its scales, as in VAR. Every field carries its
 * official constructor name (`official`), by which reference cases and checkpoints are read. Defaults are the official ones.
 */

import { z } from "zod";
import { publishedSides } from "../plan/publishedSides.ts";
import {
  blockFields,
  groupFields,
  groupsFit,
  multipliers,
  officialMultipliers,
  side,
  widthFields,
} from "./autoencoderFields.ts";

/** Growing sides of the scales, coarse to fine. */
export const patchNumsSchema = z
  .array(side)
  .min(1)
  .max(64)
  .refine((sides) => sides.every((s, i) => i === 0 || s > (sides[i - 1] ?? 0)), {
    error: "scale sides must grow",
  });

export const tokenizerSchema = z
  .strictObject({
    vocabSize: z.int().min(2).max(65536).default(4096).meta({ official: "vocab_size" }),
    ...widthFields(32, 160),
    ...groupFields("num_groups"),
    chMult: multipliers.default(officialMultipliers).meta({ official: "ch_mult" }),
    ...blockFields,
    quantConvKernel: z
      .int()
      .min(1)
      .max(15)
      .optional()
      .describe("Odd side of the convolutions before and after the codes; 3, the official form, when absent.")
      .meta({ official: "quant_conv_ks" }),
    beta: z.number().min(0).max(10).default(0.25).meta({ official: "beta" }),
    usingZnorm: z.boolean().default(false).meta({ official: "using_znorm" }),
    quantResi: z.number().min(0).max(1).default(0.5).meta({ official: "quant_resi" }),
    shareQuantResi: z.int().min(0).max(32).default(4).meta({ official: "share_quant_resi" }),
    patchNums: patchNumsSchema.default([...publishedSides[256]]).meta({ official: "v_patch_nums" }),
  })
  .refine((c) => groupsFit(c, c.chMult), {
    error: "numGroups must divide ch times every entry of chMult",
    path: ["numGroups"],
  })
  .refine((c) => (c.quantConvKernel ?? 1) % 2 === 1, {
    error: "quantConvKernel must be odd",
    path: ["quantConvKernel"],
  });

/** Fields of VAR's transformer, which others extend. */
export const transformerFields = z.strictObject({
  numClasses: z.int().min(1).max(1_000_000).default(1000).meta({ official: "num_classes" }),
  depth: z.int().min(1).max(128).default(16).meta({ official: "depth" }),
  embedDim: z.int().min(2).max(16384).default(1024).meta({ official: "embed_dim" }),
  numHeads: z.int().min(1).max(256).default(16).meta({ official: "num_heads" }),
  mlpRatio: z.number().min(0.25).max(16).default(4).meta({ official: "mlp_ratio" }),
  normEps: z.number().min(1e-12).max(1e-2).default(1e-6).meta({ official: "norm_eps" }),
  sharedAln: z.boolean().default(false).meta({ official: "shared_aln" }),
  condDropRate: z.number().min(0).max(1).default(0.1).meta({ official: "cond_drop_rate" }),
  dropPathRate: z.number().min(0).max(0.9).default(0).meta({ official: "drop_path_rate" }),
  attnL2Norm: z.boolean().default(true).meta({ official: "attn_l2_norm" }),
  patchNums: patchNumsSchema.default([...publishedSides[256]]).meta({ official: "patch_nums" }),
});

export const headsDivide = (c: { embedDim: number; numHeads: number }) => c.embedDim % c.numHeads === 0;
export const headsMessage = { error: "numHeads must divide embedDim", path: ["numHeads"] };

export const transformerSchema = transformerFields.refine(headsDivide, headsMessage);

/** The transformer of a recipe: classes come from the data, scales from the tokenizer. */
export const recipeTransformerSchema = transformerFields
  .omit({ numClasses: true, patchNums: true })
  .refine(headsDivide, headsMessage);

export type TokenizerConfig = z.infer<typeof tokenizerSchema>;
export type TransformerConfig = z.infer<typeof transformerSchema>;

/** Drop path of the official sizes. Source: code, `models/__init__.py`. */
export const officialDropPath = (depth: number): number => (0.1 * depth) / 24;

/** The official sizes: width 64 d, d heads, drop path 0.1 d / 24; d36 shares its modulation. Source: code, `models/__init__.py`. */
export function officialTransformer(depth: number, patchNums: readonly number[]): TransformerConfig {
  return transformerSchema.parse({
    depth,
    embedDim: 64 * depth,
    numHeads: depth,
    dropPathRate: officialDropPath(depth),
    sharedAln: depth === 36,
    patchNums: [...patchNums],
  });
}

/** Tokenizer of small recipes: 32 px to 130 tokens in 6 scales. */
export const smallMultiScale = {
  ...{ vocabSize: 512, zChannels: 16, ch: 40, numGroups: 8, chMult: [1, 2], numResBlocks: 1 },
  ...{ patchSize: 2, patchNums: [1, 2, 3, 4, 6, 8] },
};

/** The one of recipes that only show that everything runs: 30 tokens in 4 scales. */
export const smokeMultiScale = {
  ...smallMultiScale,
  ...{ vocabSize: 64, zChannels: 8, ch: 16, numGroups: 4, chMult: [1, 1] },
  ...{ patchSize: 4, patchNums: [1, 2, 3, 4] },
};
