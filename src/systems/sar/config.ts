/**
 * Configuration of FlexVAR, the base of SAR, and its tokenizer. Every field carries its official constructor name
 * (`official`), by which reference cases and checkpoints are read. Defaults are the official ones of the released models.
 */

import { z } from "zod";
import { publishedSides } from "../../plan/publishedSides.ts";
import {
  blockFields,
  cosineVqFields,
  groupFields,
  groupsFit,
  latentSide,
  multipliers,
  officialMultipliers,
  side,
  widthFields,
} from "../../regimen/autoencoderFields.ts";
import {
  headsDivide,
  headsMessage,
  officialDropPath,
  transformerFields,
} from "../../regimen/multiScaleConfig.ts";

const chMult = multipliers.default(officialMultipliers);

export const tokenizerSchema = z
  .strictObject({
    ...cosineVqFields(8912, 32),
    encoderChMult: chMult.meta({ official: "encoder_ch_mult" }),
    decoderChMult: chMult.meta({ official: "decoder_ch_mult" }),
    ...widthFields(256, 128),
    ...groupFields("num_groups"),
    ...blockFields,
    latentSide,
  })
  .refine((c) => groupsFit(c, [...c.encoderChMult, ...c.decoderChMult]), {
    error: "numGroups must divide ch times every entry of encoderChMult and decoderChMult",
    path: ["numGroups"],
  })
  .refine((c) => c.encoderChMult.length === c.decoderChMult.length, {
    error: "encoder and decoder need as many levels",
    path: ["decoderChMult"],
  });

/** Sides at which the official sampler draws; it is greedy at all others. Source: code, `autoregressive_infer_cfg`. */
export const officialSampledSides = [...publishedSides[256], 23, 24, 32];

const fields = transformerFields.extend({
  positionSide: side.default(32).describe("Side of the learned position map; officially 32."),
  sampledSides: z
    .array(side)
    .default(officialSampledSides)
    .describe("Sides at which generation draws; it is greedy at all others."),
  maxSide: side
    .optional()
    .describe(
      "Guidance grows up to this side; larger ones are greedy. The largest of sampledSides when absent.",
    ),
});

export const transformerSchema = fields.refine(headsDivide, headsMessage);

/** The transformer of a recipe: classes come from the data. */
export const recipeTransformerSchema = fields.omit({ numClasses: true }).refine(headsDivide, headsMessage);

/** Source: code, `autoregressive_infer_cfg`, `max_pn`. */
export const officialMaxSide = 16;

/** Up to which side guidance grows and codes are drawn. */
export const largestSide = ({ maxSide, sampledSides }: TransformerConfig): number =>
  maxSide ?? Math.max(...sampledSides);

export type TokenizerConfig = z.infer<typeof tokenizerSchema>;
export type TransformerConfig = z.infer<typeof transformerSchema>;

/** The official sizes: width 64 d, d heads, drop path 0.1 d / 24. Source: code, `models/__init__.py`. */
export function officialTransformer(depth: number): TransformerConfig {
  return transformerSchema.parse({
    depth,
    embedDim: 64 * depth,
    numHeads: depth,
    dropPathRate: officialDropPath(depth),
    maxSide: officialMaxSide,
  });
}
