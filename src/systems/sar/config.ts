/**
 * Configuration of FlexVAR, the base of SAR, and its tokenizer. Every field carries its official constructor name
 * (`official`), by which reference cases and checkpoints are read. Defaults are the official ones of the released models.
 */
import { z } from "zod";

const side = z.int().min(1).max(256);

/** Growing sides of the scales, coarse to fine. */
export const patchNumsSchema = z
  .array(side)
  .min(1)
  .max(64)
  .refine((sides) => sides.every((s, i) => i === 0 || s > (sides[i - 1] ?? 0)), {
    error: "scale sides must grow",
  });

const chMult = z.array(z.int().min(1).max(16)).min(1).max(8).default([1, 1, 2, 2, 4]);

export const tokenizerSchema = z
  .strictObject({
    vocabSize: z.int().min(2).max(65536).default(8912).meta({ official: "codebook_size" }),
    codeWidth: z.int().min(1).max(512).default(32).meta({ official: "codebook_embed_dim" }),
    codebookL2Norm: z.boolean().default(true).meta({ official: "codebook_l2_norm" }),
    commitLossBeta: z.number().min(0).max(10).default(0.25).meta({ official: "commit_loss_beta" }),
    entropyLossRatio: z.number().min(0).max(10).default(0).meta({ official: "entropy_loss_ratio" }),
    encoderChMult: chMult.meta({ official: "encoder_ch_mult" }),
    decoderChMult: chMult.meta({ official: "decoder_ch_mult" }),
    zChannels: z.int().min(1).max(1024).default(256).meta({ official: "z_channels" }),
    ch: z.int().min(1).max(1024).default(128).meta({ official: "ch" }),
    numGroups: z.int().min(1).max(64).default(32).meta({ official: "num_groups" }),
    numResBlocks: z.int().min(1).max(8).default(2).meta({ official: "num_res_blocks" }),
    inChannels: z.int().min(1).max(16).default(3).meta({ official: "in_channels" }),
    patchSize: z
      .int()
      .min(1)
      .max(16)
      .default(1)
      .describe("Pixel blocks as channels; 1 is the official form."),
    latentSide: side.default(16).describe("Side of the latent map of a training picture."),
  })
  .refine((c) => [...c.encoderChMult, ...c.decoderChMult].every((m) => (c.ch * m) % c.numGroups === 0), {
    error: "numGroups must divide ch times every entry of encoderChMult and decoderChMult",
    path: ["numGroups"],
  })
  .refine((c) => c.encoderChMult.length === c.decoderChMult.length, {
    error: "encoder and decoder need as many levels",
    path: ["decoderChMult"],
  });

/** Sides at which the official sampler draws; it is greedy at all others. Source: code, `autoregressive_infer_cfg`. */
export const officialSampledSides = [1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 23, 24, 32];

const transformerFields = z.strictObject({
  numClasses: z.int().min(1).max(1_000_000).default(1000).meta({ official: "num_classes" }),
  depth: z.int().min(1).max(128).default(16).meta({ official: "depth" }),
  embedDim: z.int().min(2).max(16384).multipleOf(2).default(1024).meta({ official: "embed_dim" }),
  numHeads: z.int().min(1).max(256).default(16).meta({ official: "num_heads" }),
  mlpRatio: z.number().min(0.25).max(16).default(4).meta({ official: "mlp_ratio" }),
  normEps: z.number().min(1e-12).max(1e-2).default(1e-6).meta({ official: "norm_eps" }),
  sharedAln: z.boolean().default(false).meta({ official: "shared_aln" }),
  condDropRate: z.number().min(0).max(1).default(0.1).meta({ official: "cond_drop_rate" }),
  dropPathRate: z.number().min(0).max(0.9).default(0).meta({ official: "drop_path_rate" }),
  attnL2Norm: z.boolean().default(true).meta({ official: "attn_l2_norm" }),
  patchNums: patchNumsSchema.default([1, 2, 3, 4, 5, 6, 8, 10, 13, 16]).meta({ official: "patch_nums" }),
  positionSide: side.default(32).describe("Side of the learned position map; officially 32."),
  sampledSides: z
    .array(side)
    .default(officialSampledSides)
    .describe("Sides at which generation draws; it is greedy at all others."),
});

const headsDivide = (c: { embedDim: number; numHeads: number }) => c.embedDim % c.numHeads === 0;
const headsMessage = { error: "numHeads must divide embedDim", path: ["numHeads"] };

export const transformerSchema = transformerFields.refine(headsDivide, headsMessage);

/** The transformer of a recipe: classes come from the data. */
export const recipeTransformerSchema = transformerFields
  .omit({ numClasses: true })
  .refine(headsDivide, headsMessage);

export type TokenizerConfig = z.infer<typeof tokenizerSchema>;
export type TransformerConfig = z.infer<typeof transformerSchema>;

/** The official sizes: width 64 d, d heads, drop path 0.1 d / 24. Source: code, `models/__init__.py`. */
export function officialTransformer(depth: number): TransformerConfig {
  return transformerSchema.parse({
    depth,
    embedDim: 64 * depth,
    numHeads: depth,
    dropPathRate: (0.1 * depth) / 24,
  });
}
