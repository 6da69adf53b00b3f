/**
 * Configuration of FlowAR. Every field carries its official constructor name (`official`), by which reference cases are
 * read. Defaults are the official ones of FlowAR-S.
 */
import { z } from "zod";
import { klSchema } from "../../regimen/klConfig.ts";

const depth = z.int().min(0).max(128);
const heads = z.int().min(1).max(256);

const transformerFields = z.strictObject({
  numClasses: z.int().min(1).max(1_000_000).default(1000).meta({ official: "class_num" }),
  patchNums: z
    .array(z.int().min(1).max(256))
    .min(1)
    .max(32)
    .default([1, 2, 4, 8, 16])
    .describe("Sides of the scales, coarse to fine; the last is the map's.")
    .meta({ official: "scale" }),
  latentWidth: z.int().min(1).max(512).default(16).meta({ official: "vae_embed_dim" }),
  embedDim: z.int().min(4).max(16384).default(768).meta({ official: "encoder_embed_dim" }),
  encoderDepth: depth.default(6).meta({ official: "encoder_depth" }),
  encoderNumHeads: heads.default(12).meta({ official: "encoder_num_heads" }),
  decoderDepth: depth.default(6).meta({ official: "decoder_depth" }),
  decoderNumHeads: heads.default(12).meta({ official: "decoder_num_heads" }),
  mlpRatio: z.number().gt(0).max(16).default(4).meta({ official: "mlp_ratio" }),
  condDropRate: z.number().min(0).max(1).default(0.1).meta({ official: "label_drop_prob" }),
  flowDepth: depth.default(2).describe("Blocks of the flow head.").meta({ official: "diffloss_d" }),
  flowWidth: z.int().min(4).max(16384).default(1024).meta({ official: "diffloss_w" }),
  flowMlpRatio: z.number().gt(0).max(16).default(4).meta({ official: "flow_head_mlp_ratio" }),
  flowCross: z
    .boolean()
    .default(false)
    .describe("Blocks of L and H, which read the condition by cross attention; else those of S.")
    .meta({ official: "cross" }),
});

/** Heads of the flow head are 64 wide (code). */
export const flowHeads = (width: number): number => Math.max(1, Math.floor(width / 64));

type Fields = Pick<
  z.infer<typeof transformerFields>,
  "embedDim" | "encoderNumHeads" | "decoderNumHeads" | "flowWidth"
>;

/** Both halves of a head turn in pairs. */
const fits = ({ embedDim, encoderNumHeads, decoderNumHeads, flowWidth }: Fields) =>
  [embedDim / encoderNumHeads, embedDim / decoderNumHeads, flowWidth / flowHeads(flowWidth)].every(
    (width) => Number.isInteger(width) && width % 4 === 0,
  );
const fitsMessage = { error: "widths must be heads times a multiple of 4", path: ["embedDim"] };

/** The first scale's input is the class, one token. */
const startsAtOne = ({ patchNums }: { readonly patchNums: readonly number[] }) => patchNums[0] === 1;
const startMessage = { error: "the first side must be 1", path: ["patchNums"] };

export const transformerSchema = transformerFields
  .refine(fits, fitsMessage)
  .refine(startsAtOne, startMessage);

/** The transformer of a recipe: classes come from the data, the width of latents from the codec. */
export const recipeTransformerSchema = transformerFields
  .omit({ numClasses: true, latentWidth: true })
  .refine(fits, fitsMessage)
  .refine(startsAtOne, startMessage);

/** Model configuration as a model file holds it. */
export const flowArModelSchema = z.strictObject({ tokenizer: klSchema, transformer: transformerSchema });

export type TransformerConfig = z.infer<typeof transformerSchema>;
export type FlowArModelConfig = z.infer<typeof flowArModelSchema>;

const wide = { flowDepth: 12, flowCross: true };

/** Published sizes. Source: `main_flowar.py`, `models/flowar.py` (code). */
export const officialSizes = {
  S: { embedDim: 768, encoderDepth: 6, encoderNumHeads: 12, decoderDepth: 6, decoderNumHeads: 12 },
  L: { embedDim: 1024, encoderDepth: 8, encoderNumHeads: 16, decoderDepth: 8, decoderNumHeads: 16, ...wide },
  H: {
    ...{ embedDim: 1536, encoderDepth: 15, encoderNumHeads: 16, decoderDepth: 15, decoderNumHeads: 16 },
    ...{ ...wide, flowWidth: 1536 },
  },
} as const;
