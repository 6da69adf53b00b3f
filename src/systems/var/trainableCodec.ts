/** VAR's tokenizer as its training sees it: all scales at every step, first codes smaller for finer scales. */
import { areaMatrix } from "../../codec/resize.ts";
import type { TrainableCodec } from "../../codec/types.ts";
import type { PerceptualLoss } from "../../nn/perceptual.ts";
import { Scope } from "../../nn/scope.ts";
import type { TokenizerConfig } from "./config.ts";
import { type TokenizerLossWeights, tokenizerTraining } from "./objective.ts";
import { encodeGraph } from "./programs.ts";
import { VarTokenizer } from "./tokenizer.ts";

/** Parameter prefix of the tokenizer in files that hold both models. */
export const tokenizerPrefix = "vae.";
export const codebookName = `${tokenizerPrefix}quantize.embedding.weight`;

export function trainableTokenizer(
  config: TokenizerConfig,
  loss: TokenizerLossWeights,
  perceptual?: PerceptualLoss,
): TrainableCodec & { readonly tokenizer: VarTokenizer } {
  const scope = Scope.root(tokenizerPrefix);
  const tokenizer = new VarTokenizer(scope, config);
  const { groups } = tokenizer.plan;
  const { side } = tokenizer.vq;
  const { zChannels, vocabSize, inChannels } = config;
  const sizes = groups.map((group) => group.size);
  return {
    tokenizer,
    graph: tokenizerTraining(scope, tokenizer, loss, perceptual),
    encode: encodeGraph(tokenizer),
    parameters: scope.specs,
    pictureShape: [inChannels, tokenizer.imageSize, tokenizer.imageSize],
    codebook: { name: codebookName, vocabSize, width: zChannels },
    groups: groups.length,
    draw: () => ({ values: {}, sizes }),
    /** The features pooled to the side of a random scale, at one site. */
    firstCode: (features, stream) => {
      const index = stream.integer(groups.length);
      const pool = areaMatrix(side, groups[index]?.side ?? side);
      const sites = pool.length / (side * side);
      const site = stream.integer(sites);
      return Float32Array.from({ length: zChannels }, (_, c) => {
        let mean = 0;
        for (let i = 0; i < side * side; i++)
          mean += (features[c * side * side + i] as number) * (pool[i * sites + site] as number); // in range
        return mean * (1 - index / groups.length);
      });
    },
  };
}
