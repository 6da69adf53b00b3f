/** FlowAR's networks over fresh scopes. Names in files: `vae.*` (autoencoder), `flowar.*` (the rest). */
import { Scope } from "../../nn/scope.ts";
import { buildKl } from "../../regimen/klStage.ts";
import type { FlowArModelConfig } from "./config.ts";
import { FlowAr } from "./model.ts";

export const transformerPrefix = "flowar.";

export function buildFlowAr({ tokenizer, transformer }: FlowArModelConfig) {
  const kl = buildKl(tokenizer);
  const scope = Scope.root(transformerPrefix);
  return {
    codec: kl.codec,
    model: new FlowAr(scope, transformer),
    scopes: { codec: kl.scope, model: scope },
  };
}
