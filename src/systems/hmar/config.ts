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

/** Model configuration as a model file holds it. */
export const hmarModelSchema = z
  .strictObject({ tokenizer: tokenizerSchema, transformer: transformerSchema, tailLayers })
  .refine((config) => config.tailLayers <= config.transformer.depth, {
    error: "tailLayers must not exceed the depth",
    path: ["tailLayers"],
  })
  .refine((config) => !config.transformer.sharedAln, {
    error: "HMAR's layers modulate themselves",
    path: ["transformer", "sharedAln"],
  });
export type HmarModelConfig = z.infer<typeof hmarModelSchema>;
