/**
 * Stage 2: cross-entropy of masked tokens only; everything but the tail of masked prediction is frozen.
 * Source: `mp_trainer.py` (code, 'mask_unweighted'). The own contributions come from all true tokens of a scale, masked ones
 * too, so a visible site knows a little of its masked neighbours; kept as it is. Shape letters: B batch, L tokens, N0 first.
 */
import { drawMask } from "../../context/maskedSites.ts";
import type { Weights } from "../../nn/scope.ts";
import { trainingGraph } from "../../regimen/objective.ts";
import { keepFactors } from "../../regimen/scaleWise.ts";
import type { Programme } from "../../regimen/scaleWiseTask.ts";
import type { TokenSet } from "../../regimen/tokenSet.ts";
import type { Metrics } from "../../regimen/trainer.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints } from "../../runtime/values.ts";
import { symbol } from "../../tensor/dims.ts";
import { div, equal, mul } from "../../tensor/ops/elementwise.ts";
import { argmaxLast } from "../../tensor/ops/gather.ts";
import { crossEntropy, mean } from "../../tensor/ops/neural.ts";
import { cast, slice, stopGradient, sum } from "../../tensor/ops/structure.ts";
import { RandomStream } from "../../tensor/random.ts";
import { float32, int32, type Tensor } from "../../tensor/tensor.ts";
import type { HmarNetworks } from "./build.ts";

const B = symbol("B");

/**
 * Loss and hits of masked tokens, scalars: labels [B], ids [B, L], masked [1, L - N0]. `from` is the position that the first
 * flag stands for: code, always 1, so that a first scale of several tokens moves the loss to earlier ones; ours, N0.
 */
export function maskedLosses(
  { tokenizer, masked: model }: HmarNetworks,
  labels: Tensor,
  ids: Tensor,
  masked: Tensor,
  { keep, from = model.firstSize }: { readonly keep?: Tensor | undefined; readonly from?: number } = {},
) {
  const { firstSize, plan } = model;
  const end = from + plan.length - firstSize;
  const inputs = stopGradient(tokenizer.teacherInput(ids));
  const own = stopGradient(tokenizer.vq.ownInput(ids));
  const logits = slice(model.logits(labels, inputs, own, masked, keepFactors(keep)), 1, from, end);
  const truth = slice(ids, 1, from, end);
  const count = sum(masked);
  const overMasked = (x: Tensor) => div(mean(sum(mul(x, masked), [1])), count);
  return {
    loss: overMasked(crossEntropy(logits, truth)),
    accuracy: overMasked(cast(equal(argmaxLast(logits), truth), "float32")),
  };
}

/** Training graph of stage 2; the tokenizer's and stage 1's parameters are frozen: compile them in. */
export function maskedTraining(networks: HmarNetworks, from?: number) {
  const { plan, firstSize, config } = networks.nextScale;
  const specs = {
    labels: int32(B),
    ids: int32(B, plan.length),
    masked: float32(1, plan.length - firstSize),
    ...(config.dropPathRate > 0 && { keep: float32(2 * config.depth, B) }),
  };
  return trainingGraph(specs, networks.scopes.masked, (inputs) => {
    const get = (name: string) => inputs[name] as Tensor; // declared above
    const { loss, accuracy } = maskedLosses(networks, get("labels"), get("ids"), get("masked"), {
      keep: inputs.keep,
      ...(from !== undefined && { from }),
    });
    return { loss, metrics: { accuracy } };
  });
}

/** One share of masked sites per step, uniform in (0, 1]. */
export function maskedProgramme(networks: HmarNetworks, frozen: Weights): Programme {
  return {
    graph: maskedTraining(networks),
    frozen,
    keeps: ["keep"],
    values: async ({ labels, ids, plan, stream }) => {
      const flags = drawMask(plan, 1 - stream.uniform(), stream);
      return {
        labels: ints(labels, [labels.length]),
        ids: ints(ids, [labels.length, plan.length]),
        masked: floats(Float32Array.from(flags), [1, flags.length]),
      };
    },
  };
}

/** Held-out loss and accuracy of masked tokens, half of the sites of each scale masked, the same ones every time. */
export async function heldOutMasked(
  networks: HmarNetworks,
  weights: Weights,
  { ids, labels, plan }: TokenSet,
  device: Device,
): Promise<Metrics> {
  const flags = drawMask(plan, 0.5, RandomStream.from(0, "observe/mask"));
  const specs = { labels: int32(B), ids: int32(B, plan.length), masked: float32(1, flags.length) };
  const graph = trace(specs, (x) => maskedLosses(networks, x.labels, x.ids, x.masked));
  using program = await compile(graph, { device, weights, prepack: false });
  const { loss, accuracy } = await program.run({
    labels: ints(labels, [labels.length]),
    ids: ints(Int32Array.from(ids), [labels.length, plan.length]),
    masked: floats(Float32Array.from(flags), [1, flags.length]),
  });
  return { validationLoss: loss.data[0] as number, validationAccuracy: accuracy.data[0] as number }; // scalars
}
