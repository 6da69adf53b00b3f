/** NAR's networks over fresh scopes. Names in files: `vq.*` (tokenizer), `nar.*` (transformer). */
import { VqTokenizer } from "../../codec/vqTokenizer.ts";
import { Scope } from "../../nn/scope.ts";
import type { NarModelConfig } from "./config.ts";
import { formOf, LatticeTransformer } from "./model.ts";

export const tokenizerPrefix = "vq.";
export const transformerPrefix = "nar.";

export function buildNar({ tokenizer: codec, transformer: config }: NarModelConfig) {
  const scopes = { tokenizer: Scope.root(tokenizerPrefix), transformer: Scope.root(transformerPrefix) };
  const form = formOf(config, codec.latentSide);
  return {
    tokenizer: new VqTokenizer(scopes.tokenizer, codec),
    transformer: new LatticeTransformer(scopes.transformer, config, codec.vocabSize, form),
    scopes,
  };
}
