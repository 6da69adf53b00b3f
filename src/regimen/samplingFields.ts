/** Settings of every sampler that draws codes one distribution at a time. */
import { z } from "zod";

/** Filters and temperature, with the top-p that suits the system. */
export const codeFilters = (topP: number) => ({
  topK: z.int().min(0).max(1_000_000).default(0).describe("Keep the k most likely codes; 0 keeps all."),
  topP: z
    .number()
    .min(0)
    .max(1)
    .default(topP)
    .describe("Keep the most likely codes that make up p; 0 or 1 keeps all."),
  temperature: z
    .number()
    .min(0)
    .max(100)
    .default(1)
    .describe("Divides logits; 0 takes the most likely code."),
});
