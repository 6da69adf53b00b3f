/** HMAR's configuration: VAR's tokenizer and transformer, and how many last layers the masked prediction has of its own. */
import { z } from "zod";
import { tokenizerSchema, transformerSchema } from "../../regimen/multiScaleConfig.ts";

export const tailLayers = z
  .int()
  .min(1)
  .max(128)
  .default(8)
  .describe("Last layers that masked prediction has of its own; officially 8.")
  .meta({ official: "n_layers_train" });

/** The tail is part of the layers. */
export const tailFits = (config: {
  readonly tailLayers: number;
  readonly transformer: { readonly depth: number };
}) => config.tailLayers <= config.transformer.depth;
export const tailMessage = { error: "tailLayers must not exceed the depth", path: ["tailLayers"] };

/** Model configuration as a model file holds it. */
export const hmarModelSchema = z
  .strictObject({ tokenizer: tokenizerSchema, transformer: transformerSchema, tailLayers })
  .refine(tailFits, tailMessage);
export type HmarModelConfig = z.infer<typeof hmarModelSchema>;
