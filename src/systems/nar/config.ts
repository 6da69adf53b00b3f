/**
 * Configuration of NAR, its LlamaGen base and their tokenizer. Every field carries its official constructor name
 * (`official`), by which reference cases are read. Defaults are the official ones of NAR-B.
 */
import { z } from "zod";
import {
  blockFields,
  cosineVqFields,
  groupFields,
  groupsFit,
  latentSide,
  multipliers,
  officialMultipliers,
  widthFields,
} from "../../regimen/autoencoderFields.ts";

export const vqSchema = z
  .strictObject({
    ...cosineVqFields(16384, 8),
    chMult: multipliers.default(officialMultipliers).meta({ official: "ch_mult" }),
    ...widthFields(256, 128),
    ...groupFields("norm_groups"),
    ...blockFields,
    latentSide,
  })
  .refine((c) => groupsFit(c, c.chMult), {
    error: "numGroups must divide ch times every entry of chMult",
    path: ["numGroups"],
  });

const transformerFields = z.strictObject({
  numClasses: z.int().min(1).max(1_000_000).default(1000).meta({ official: "num_classes" }),
  dim: z.int().min(4).max(16384).default(768).meta({ official: "dim" }),
  nLayer: z.int().min(1).max(128).default(12).meta({ official: "n_layer" }),
  nHead: z.int().min(1).max(256).default(12).meta({ official: "n_head" }),
  multipleOf: z.int().min(1).max(4096).default(256).meta({ official: "multiple_of" }),
  normEps: z.number().min(1e-12).max(1e-2).default(1e-5).meta({ official: "norm_eps" }),
  condDropRate: z.number().min(0).max(1).default(0.1).meta({ official: "class_dropout_prob" }),
  order: z
    .enum(["neighbour", "raster"])
    .default("neighbour")
    .describe("What is predicted next: all nearest neighbours, or (LlamaGen, the baseline) the next site."),
  overlap: z
    .enum(["average", "right", "below"])
    .default("average")
    .describe("Whose logits count where both heads reach a site; officially their average."),
});

const fits = (c: { dim: number; nHead: number }) => c.dim % c.nHead === 0 && (c.dim / c.nHead) % 4 === 0;
const fitsMessage = { error: "dim must be nHead times a multiple of 4", path: ["nHead"] };

export const transformerSchema = transformerFields.refine(fits, fitsMessage);

/** Learned positions ask nothing of a head's width. */
export const videoTransformerSchema = transformerFields.refine((c) => c.dim % c.nHead === 0, {
  error: "nHead must divide dim",
  path: ["nHead"],
});

/** The transformer of a recipe: classes come from the data. */
export const recipeTransformerSchema = transformerFields.omit({ numClasses: true }).refine(fits, fitsMessage);

/** Model configuration as a model file holds it. */
export const narModelSchema = z.strictObject({ tokenizer: vqSchema, transformer: transformerSchema });

export type VqConfig = z.infer<typeof vqSchema>;
export type TransformerConfig = z.infer<typeof transformerSchema>;
export type NarModelConfig = z.infer<typeof narModelSchema>;
