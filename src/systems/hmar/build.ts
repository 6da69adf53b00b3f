/** HMAR's networks over fresh scopes. Names in files: `vae.*`, `nsp.*` (stage 1), `mp.*` (what stage 2 has of its own). */
import { Scope } from "../../nn/scope.ts";
import { multiScaleTokenizer, tokenizerPrefix } from "../../regimen/multiScaleModel.ts";
import type { HmarModelConfig } from "./config.ts";
import { MaskedTransformer, NextScaleTransformer } from "./model.ts";

export const nextScalePrefix = "nsp.";
export const maskedPrefix = "mp.";

export function buildHmar({ tokenizer: codec, transformer: config, tailLayers }: HmarModelConfig) {
  const scopes = {
    tokenizer: Scope.root(tokenizerPrefix),
    nextScale: Scope.root(nextScalePrefix),
    masked: Scope.root(maskedPrefix),
  };
  const { vocabSize } = codec;
  return {
    tokenizer: multiScaleTokenizer(scopes.tokenizer, codec),
    nextScale: new NextScaleTransformer(scopes.nextScale, config, vocabSize),
    masked: new MaskedTransformer(scopes.nextScale, scopes.masked, config, vocabSize, tailLayers),
    scopes,
  };
}

export type HmarNetworks = ReturnType<typeof buildHmar>;
