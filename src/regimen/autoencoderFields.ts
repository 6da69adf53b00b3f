/** Fields that configurations of convolutional autoencoders share, with their official constructor names (`official`). */
import { z } from "zod";

export const side = z.int().min(1).max(256);

/** Factors of the width, finest level first. */
export const multipliers = z.array(z.int().min(1).max(16)).min(1).max(8);
export const officialMultipliers = [1, 1, 2, 2, 4];

/** Width of the latents and of the first level; defaults differ from system to system. */
export const widthFields = (zChannels: number, ch: number) => ({
  zChannels: z.int().min(1).max(1024).default(zChannels).meta({ official: "z_channels" }),
  ch: z.int().min(1).max(1024).default(ch).meta({ official: "ch" }),
});

export const groupFields = (official: string) => ({
  numGroups: z.int().min(1).max(64).default(32).meta({ official }),
});

export const blockFields = {
  numResBlocks: z.int().min(1).max(8).default(2).meta({ official: "num_res_blocks" }),
  inChannels: z.int().min(1).max(16).default(3).meta({ official: "in_channels" }),
  patchSize: z.int().min(1).max(16).default(1).describe("Pixel blocks as channels; 1 is the official form."),
};

export const latentSide = side.default(16).describe("Side of the map of a picture.");

/** A codebook of L2-normalised codes, as in LlamaGen and FlexVAR. */
export const cosineVqFields = (vocabSize: number, codeWidth: number) => ({
  vocabSize: z.int().min(2).max(65536).default(vocabSize).meta({ official: "codebook_size" }),
  codeWidth: z.int().min(1).max(512).default(codeWidth).meta({ official: "codebook_embed_dim" }),
  codebookL2Norm: z.boolean().default(true).meta({ official: "codebook_l2_norm" }),
  commitLossBeta: z.number().min(0).max(10).default(0.25).meta({ official: "commit_loss_beta" }),
  entropyLossRatio: z.number().min(0).max(10).default(0).meta({ official: "entropy_loss_ratio" }),
});

/** Whether group norms fit every level. */
export const groupsFit = (
  { ch, numGroups }: { readonly ch: number; readonly numGroups: number },
  factors: readonly number[],
): boolean => factors.every((factor) => (ch * factor) % numGroups === 0);
