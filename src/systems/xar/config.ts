/**
 * xAR's configuration. Every field carries its official constructor name (`official`), by which reference cases are read;
 * defaults are those of xAR-B.
 */
import { z } from "zod";
import { noisyPasts } from "../../context/noisyPast.ts";
import { entityKinds } from "../../plan/entities.ts";
import { klSchema } from "../../regimen/klConfig.ts";

const depth = z.int().min(1).max(128);
const heads = z.int().min(1).max(256);
export const pastNames = Object.keys(noisyPasts) as [keyof typeof noisyPasts]; // one or more

const transformerFields = z.strictObject({
  numClasses: z.int().min(1).max(1_000_000).default(1000).meta({ official: "class_num" }),
  embedDim: z.int().min(4).max(16384).default(768).meta({ official: "encoder_embed_dim" }),
  encoderDepth: depth.default(8).meta({ official: "encoder_depth" }),
  encoderNumHeads: heads.default(12).meta({ official: "encoder_num_heads" }),
  decoderDepth: depth.default(8).meta({ official: "decoder_depth" }),
  decoderNumHeads: heads.default(12).meta({ official: "decoder_num_heads" }),
  mlpRatio: z.number().gt(0).max(64).default(4).meta({ official: "mlp_ratio" }),
  condDropRate: z.number().min(0).max(1).default(0.1).meta({ official: "label_drop_prob" }),
  entity: z.enum(entityKinds).default("cell").describe("What is predicted next."),
  parts: z
    .int()
    .min(1)
    .max(256)
    .default(2)
    .describe("Cells or sub-samples per side, or the number of scales; tokens and images take none."),
});

const fits = (c: { embedDim: number; encoderNumHeads: number; decoderNumHeads: number }) =>
  [c.encoderNumHeads, c.decoderNumHeads].every((n) => c.embedDim % n === 0 && (c.embedDim / n) % 4 === 0);
const fitsMessage = {
  error: "embedDim must be the number of heads times a multiple of 4",
  path: ["encoderNumHeads"],
};

export const transformerSchema = transformerFields.refine(fits, fitsMessage);

/** The transformer of a recipe: classes come from the data. */
export const recipeTransformerSchema = transformerFields.omit({ numClasses: true }).refine(fits, fitsMessage);

/** Model configuration as a model file holds it. */
export const xarModelSchema = z.strictObject({ tokenizer: klSchema, transformer: transformerSchema });

export type TransformerConfig = z.infer<typeof transformerSchema>;
export type XarModelConfig = z.infer<typeof xarModelSchema>;

/** Published sizes. */
export const officialSizes = {
  B: {},
  L: { embedDim: 1024, encoderDepth: 16, encoderNumHeads: 16, decoderDepth: 16, decoderNumHeads: 16 },
  H: { embedDim: 1280, encoderDepth: 20, encoderNumHeads: 16, decoderDepth: 20, decoderNumHeads: 16 },
} as const;
