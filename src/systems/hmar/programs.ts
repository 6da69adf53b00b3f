/** The program of masked passes. Shape letters: B pictures, N sites of a scale, C width, D code width, P finest side. */
import type { MultiScaleTokenizer } from "../../codec/multiScaleTokenizer.ts";
import { trace } from "../../runtime/trace.ts";
import { symbol } from "../../tensor/dims.ts";
import { add } from "../../tensor/ops/elementwise.ts";
import { reshape } from "../../tensor/ops/structure.ts";
import { float32, int32, type Tensor } from "../../tensor/tensor.ts";
import type { MaskedTransformer } from "./model.ts";

/**
 * Input of a scale x [B, N, C], positions included, its current codes [B, N, D] and flags [B, N] -> logits [B, N, V].
 * Resizers and phi are those of the scale: `up` [N, P^2], `down` [P^2, N]; modulations have a leading branch of one.
 */
export function refineGraph(tokenizer: MultiScaleTokenizer, model: MaskedTransformer) {
  const [B, N] = [symbol("B"), symbol("N")];
  const { width: c, depth } = model;
  const sites = tokenizer.vq.side ** 2;
  const specs = {
    x: float32(B, N, c),
    codes: float32(B, N, tokenizer.config.zChannels),
    masked: float32(B, N),
    layers: float32(1, B, depth, 6, c),
    head: float32(1, B, 2, c),
    up: float32(N, sites),
    down: float32(sites, N),
    phi: int32(),
  };
  return trace(specs, ({ x, codes, masked, layers, head, up, down, phi }) => {
    const own = model.ownPart(tokenizer.vq.ownStep(codes, up, down, phi), masked);
    const drop = (tensor: Tensor) => reshape(tensor, tensor.shape.slice(1)); // the branch
    const modulations = { layers: drop(layers), head: drop(head) };
    return { logits: model.blocks(add(x, own), modulations, () => ({})).logits };
  });
}
