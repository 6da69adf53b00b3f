/**
 * FlexVAR's tokenizer as its training sees it: at every step the finest side and some random coarser ones. paper: 5 random
 * scales per step; inferred: always the finest, because only it becomes the picture.
 */
import { areaRows } from "../../codec/resize.ts";
import type { TrainableCodec } from "../../codec/types.ts";
import { Scope } from "../../nn/scope.ts";
import type { TokenizerConfig } from "./config.ts";
import { encodeGraph } from "./programs.ts";
import { FlexTokenizer } from "./tokenizer.ts";
import { type TokenizerLossWeights, tokenizerTraining, tokenizerValues } from "./tokenizerObjective.ts";

/** Parameter prefix of the tokenizer in files that hold both models. */
export const tokenizerPrefix = "vae.";

/** One site of features [C, P, P] pooled to side p: [C]. */
function pooledSite(features: Float32Array, side: number, to: number, site: number): Float32Array {
  const rows = areaRows(side, to);
  const [y, x] = [Math.floor(site / to), site % to];
  const weights = Float32Array.from({ length: side * side }, (_, i) => {
    const [v, u] = [Math.floor(i / side), i % side];
    return (rows[v * to + y] as number) * (rows[u * to + x] as number); // in range
  });
  const channels = features.length / weights.length;
  return Float32Array.from({ length: channels }, (_, c) =>
    weights.reduce((sum, weight, i) => sum + weight * (features[c * weights.length + i] as number), 0),
  );
}

/** `sides` are those that may be drawn, growing; `scales` of them are drawn per step. */
export function trainableTokenizer(
  config: TokenizerConfig,
  loss: TokenizerLossWeights,
  sides: readonly number[],
  scales: number,
): TrainableCodec & { readonly tokenizer: FlexTokenizer } {
  const scope = Scope.root(tokenizerPrefix);
  const tokenizer = new FlexTokenizer(scope, config);
  const { vocabSize, codeWidth, inChannels, latentSide } = config;
  const [coarser, drawn] = [sides.slice(0, -1), Math.min(scales, sides.length)];
  return {
    tokenizer,
    graph: tokenizerTraining(scope, tokenizer, drawn, loss),
    encode: encodeGraph(tokenizer),
    parameters: scope.specs,
    pictureShape: [inChannels, tokenizer.imageSize, tokenizer.imageSize],
    codebook: { name: `${tokenizerPrefix}quantize.embedding.weight`, vocabSize, width: codeWidth },
    groups: drawn,
    draw: (stream) => {
      const order = stream.permutation(coarser.length).subarray(0, drawn - 1);
      const picked = Array.from(order, (i) => coarser[i] as number).sort((a, b) => a - b); // in range
      const all = [...picked, ...sides.slice(-1)];
      return { values: tokenizerValues(tokenizer, all), sizes: all.map((side) => side * side) };
    },
    /** A pooled site, L2-normalised where codes are. */
    firstCode: (features, stream) => {
      const side = sides[stream.integer(sides.length)] ?? latentSide;
      const code = pooledSite(features, latentSide, side, stream.integer(side * side));
      if (!config.codebookL2Norm) return code;
      const norm = Math.sqrt(code.reduce((sum, value) => sum + value * value, 0)) || 1;
      return code.map((value) => value / norm);
    },
  };
}
