/**
 * How reference cases of VAR, and of what is built on it, say their models: names and defaults of the official constructors.
 * Source: `models/vqvae.py`, `models/var.py` (code); HMAR's and FlexVAR's transformers have the same.
 */

import { caseConfig, fromOfficial, type ParityCase } from "../formats/parityCase.ts";
import { publishedSides } from "../plan/publishedSides.ts";
import { officialMultipliers } from "./autoencoderFields.ts";
import {
  type TokenizerConfig,
  type TransformerConfig,
  tokenizerSchema,
  transformerSchema,
} from "./multiScaleConfig.ts";
import { withoutInert } from "./parityTools.ts";

type Config = ParityCase["config"];
const sides = publishedSides[256];

/** What a case leaves out of a transformer. */
export const transformerDefaults = {
  ...{ num_classes: 1000, depth: 16, embed_dim: 1024, num_heads: 16, mlp_ratio: 4, norm_eps: 1e-6 },
  ...{ shared_aln: false, cond_drop_rate: 0.1, attn_l2_norm: false, patch_nums: sides },
};

/** ... and of a tokenizer. */
export const tokenizerDefaults = {
  ...{ vocab_size: 4096, z_channels: 32, ch: 128, ch_mult: officialMultipliers, num_res_blocks: 2 },
  ...{ beta: 0.25, using_znorm: false, quant_resi: 0.5, share_quant_resi: 4, v_patch_nums: sides },
};

/** The tokenizer of a case, its section `vae`. */
export function caseTokenizer(config: Config): TokenizerConfig {
  const official: Record<string, unknown> = {
    ...tokenizerDefaults,
    ...withoutInert(caseConfig(config, "vae")),
  };
  const { quant_resi: share } = official;
  // code: the sign of the share of phi says nothing
  return fromOfficial(tokenizerSchema, {
    ...official,
    quant_resi: typeof share === "number" ? Math.abs(share) : share,
  });
}

/** The transformer of a section; references are in evaluation mode, without drop path. */
export function caseTransformer(config: Config, name: string): TransformerConfig {
  const official = { ...transformerDefaults, ...withoutInert(caseConfig(config, name)) };
  return { ...fromOfficial(transformerSchema, official), dropPathRate: 0 };
}
