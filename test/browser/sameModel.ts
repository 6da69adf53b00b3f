/** What is computed with one model in Node and in a page, to be compared. Runs in both. */
import type { Model } from "../../src/model.ts";
import { rolloutGraph } from "../../src/regimen/rollout.ts";
import type { Device } from "../../src/runtime/device.ts";
import { compile } from "../../src/runtime/program.ts";
import { ints } from "../../src/runtime/values.ts";
import { RandomStream } from "../../src/tensor/random.ts";

/** Logits of drawn tokens on a schedule of these sides, labels 0 and 1, as the model sees them in one pass. */
export async function forcedLogits(
  model: Model,
  device: Device,
  sides?: readonly number[],
): Promise<Float32Array> {
  const { model: subject, tokenizer } = model.scaleWise(sides);
  const { plan, weights } = tokenizer;
  const stream = RandomStream.from(5, "tokens");
  const past = Int32Array.from({ length: 2 * plan.length }, () =>
    Math.floor(stream.uniform() * subject.vocabSize),
  );
  using program = await compile(rolloutGraph(subject, false), { device, weights });
  const { logits } = await program.run({
    labels: ints(Int32Array.of(0, 1), [2]),
    past: ints(past, [2, plan.length]),
    ...subject.whole.values(plan),
  });
  return logits.data as Float32Array; // logits are float32
}

/** Token ids of freely generated pictures, one after the other. */
export async function freeTokens(model: Model, count: number): Promise<number[]> {
  let ids: readonly Int32Array[] = [];
  for await (const event of model.sample({ count, seed: 11 })) ids = event.ids;
  return ids.flatMap((group) => Array.from(group));
}
