import { beforeAll, expect, it } from "vitest";
import { KlAutoencoder, latentsGraph } from "../codec/klAutoencoder.ts";
import { createLoader } from "../data/loader.ts";
import { createSynth } from "../data/synth/synth.ts";
import { Scope } from "../nn/scope.ts";
import { openCpu } from "../runtime/device.node.ts";
import type { Device } from "../runtime/device.ts";
import { floats } from "../runtime/values.ts";
import { RandomStream } from "../tensor/random.ts";
import { defaultAdamW } from "./adamw.ts";
import { KlTask } from "./klTask.ts";
import { runOnce } from "./parityTools.ts";
import { Trainer, type TrainerSnapshot } from "./trainer.ts";

const config = {
  ...{ zChannels: 2, ch: 4, numGroups: 2, chMult: [1, 1], numResBlocks: 1, inChannels: 3 },
  ...{ patchSize: 4, latentSide: 4, scaleFactor: null },
};
const set = createSynth({ size: 32, split: "train", length: 16 });

let device: Device;
beforeAll(async () => {
  device = await openCpu({ threads: 1 });
});

function trainer(from: RandomStream | TrainerSnapshot = RandomStream.from(1, "train/init")) {
  const scope = Scope.root("vae.");
  const codec = new KlAutoencoder(scope, config);
  const loader = createLoader(set, { batchSize: 4, seed: 3 });
  const weights = { l1: 1, l2: 1, kl: 0.01, perceptual: 0 };
  const task = new KlTask(scope, "vae.", codec, loader, 3, weights);
  const schedule = { name: "constant" as const, peak: 3e-3, steps: 100, warmup: 0, end: 1 };
  return Trainer.create(
    task,
    { schedule, optimizer: defaultAdamW, accumulate: 1, emaDecay: 0.5 },
    device,
    from,
  );
}

it("goes on bit by bit after a restart, the measured scale included", async () => {
  using whole = await trainer();
  for (let i = 0; i < 4; i++) await whole.advance();
  using first = await trainer();
  for (let i = 0; i < 2; i++) await first.advance();
  using second = await trainer(first.snapshot());
  for (let i = 0; i < 2; i++) await second.advance();
  for (const [name, { data }] of whole.best) expect(second.best.get(name)?.data).toEqual(data);
  expect(whole.weights.get("vae.scale_factor")?.data[0]).not.toBe(1);
}, 120_000);

it("gives latents a mean square near 1, and draws that lower the loss", async () => {
  using run = await trainer();
  const losses: number[] = [];
  for (let i = 0; i < 60; i++) losses.push((await run.advance()).loss);
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  expect(mean(losses.slice(-10))).toBeLessThan(0.9 * mean(losses.slice(0, 10)));
  const codec = new KlAutoencoder(Scope.root("vae."), config);
  const batch = createLoader(set, { batchSize: 16, seed: 0, shuffle: false }).next();
  const images = floats(batch.images, [16, 3, 32, 32]);
  const { mean: means, deviation } = await runOnce(latentsGraph(codec), { images }, run.best, device);
  const squares = Array.from(means?.data ?? [], (m, i) => m ** 2 + (deviation?.data[i] as number) ** 2);
  expect(Math.sqrt(mean(squares))).toBeGreaterThan(0.8);
  expect(Math.sqrt(mean(squares))).toBeLessThan(1.25);
}, 120_000);
