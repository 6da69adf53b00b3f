/** xAR's networks over fresh scopes. Names in files: `vae.*` (autoencoder), `xar.*` (transformer). */
import { Scope } from "../../nn/scope.ts";
import { buildKl } from "../../regimen/klStage.ts";
import type { XarModelConfig } from "./config.ts";
import { XarTransformer } from "./model.ts";

export const transformerPrefix = "xar.";

export function buildXar({ tokenizer: codec, transformer: config }: XarModelConfig) {
  const scope = Scope.root(transformerPrefix);
  const tokenizer = buildKl(codec);
  return {
    tokenizer: tokenizer.codec,
    transformer: new XarTransformer(scope, config, codec.latentSide, codec.zChannels),
    scopes: { tokenizer: tokenizer.scope, transformer: scope },
  };
}
