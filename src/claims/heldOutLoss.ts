/** Teacher-forced loss on held-out tokens, for any model that training sees as scale-wise with one fixed schedule. */
import type { Weights } from "../nn/scope.ts";
import { type ScaleWiseModel, tokenLoss } from "../regimen/scaleWise.ts";
import { type TokenSet, tokenInputs } from "../regimen/tokenSet.ts";
import type { Device } from "../runtime/device.ts";
import { compile } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { mean } from "../tensor/ops/neural.ts";
import { int32 } from "../tensor/tensor.ts";

const batchSize = 64;

/** Nats per token, every token equal; `weights` holds the tokenizer's too. */
export async function heldOutLoss(
  { whole }: ScaleWiseModel,
  weights: Weights,
  tokens: TokenSet,
  device: Device,
): Promise<number> {
  const { labels, plan } = tokens;
  const graph = trace({ labels: int32("B"), ids: int32("B", plan.length) }, (inputs) => ({
    loss: mean(tokenLoss(whole.logits(inputs.labels, inputs.ids, {}), inputs.ids)),
  }));
  using program = await compile(graph, { device, weights, prepack: false });
  let total = 0;
  for (let first = 0; first < labels.length; first += batchSize) {
    const taken = Math.min(batchSize, labels.length - first);
    const { loss } = await program.run(tokenInputs(tokens, first, taken));
    total += (loss.data[0] as number) * taken; // a scalar
  }
  return total / labels.length;
}
