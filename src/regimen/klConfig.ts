/** Configuration of a KL autoencoder. Every field carries its official constructor name (`official`). */
import { z } from "zod";

import { groupsFit, latentSide, multipliers, officialMultipliers } from "./autoencoderFields.ts";

export const klSchema = z
  .strictObject({
    zChannels: z.int().min(1).max(512).default(16).meta({ official: "embed_dim" }),
    ch: z.int().min(1).max(1024).default(128).meta({ official: "ch" }),
    chMult: multipliers.default(officialMultipliers).meta({ official: "ch_mult" }),
    numResBlocks: z.int().min(1).max(8).default(2).meta({ official: "num_res_blocks" }),
    numGroups: z.int().min(1).max(64).default(32).meta({ official: "num_groups" }),
    inChannels: z.int().min(1).max(16).default(3),
    patchSize: z
      .int()
      .min(1)
      .max(16)
      .default(1)
      .describe("Pixel blocks as channels; 1 is the official form."),
    attendedLevel: z
      .int()
      .min(0)
      .max(8)
      .optional()
      .describe("Level of the encoder with attention after every block; the last when absent."),
    latentSide,
    scaleFactor: z
      .number()
      .gt(0)
      .max(1e6)
      .nullable()
      .default(0.2325)
      .meta({ official: "scale_factor" })
      .describe("Latents times this have a deviation of 1; null measures it in training."),
  })
  .refine((config) => groupsFit(config, config.chMult), {
    error: "numGroups must divide ch times every entry of chMult",
    path: ["numGroups"],
  });

/** code: attention where a picture of 256 px has 16 x 16 sites, whatever the levels. */
export const officialAttendedLevel = 4;

export type KlConfig = z.infer<typeof klSchema>;

/** Autoencoder of small recipes: 32 px to a map of 8 x 8 sites of four numbers. */
export const smallKl = {
  ...{ zChannels: 4, ch: 40, numGroups: 8, chMult: [1, 2], numResBlocks: 1, patchSize: 2 },
  ...{ latentSide: 8, scaleFactor: null },
};
