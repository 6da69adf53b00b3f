/** Teacher-forced loss on held-out tokens, for any model that training sees as scale-wise with one fixed schedule. */
import type { Weights } from "../nn/scope.ts";
import { type ScaleWiseModel, tokenLoss } from "../regimen/scaleWise.ts";
import type { TokenSet } from "../regimen/tokenSet.ts";
import type { Device } from "../runtime/device.ts";
import { compile } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { ints } from "../runtime/values.ts";
import { mean } from "../tensor/ops/neural.ts";
import { int32 } from "../tensor/tensor.ts";

const batchSize = 64;

/** Nats per token, every token equal; `weights` holds the tokenizer's too. */
export async function heldOutLoss(
  { whole }: ScaleWiseModel,
  weights: Weights,
  { ids, labels, plan: { length } }: TokenSet,
  device: Device,
): Promise<number> {
  const graph = trace({ labels: int32("B"), ids: int32("B", length) }, (inputs) => ({
    loss: mean(tokenLoss(whole.logits(inputs.labels, inputs.ids, {}), inputs.ids)),
  }));
  using program = await compile(graph, { device, weights, prepack: false });
  let total = 0;
  for (let first = 0; first < labels.length; first += batchSize) {
    const some = labels.slice(first, first + batchSize);
    const part = Int32Array.from(ids.subarray(first * length, (first + some.length) * length));
    const { loss } = await program.run({
      labels: ints(some, [some.length]),
      ids: ints(part, [some.length, length]),
    });
    total += (loss.data[0] as number) * some.length; // a scalar
  }
  return total / labels.length;
}
