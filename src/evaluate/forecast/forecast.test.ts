/** The long-horizon harness: errors by hand, and models that learn a small procedural series. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openSeries } from "../../data/series/seriesSets.node.ts";
import { shareBorders } from "../../data/series/splits.ts";
import { syntheticSeries } from "../../data/series/synthetic.ts";
import { openWindows, type SeriesSource } from "../../data/series/windows.ts";
import { dataRootFromEnvironment } from "../../environment.node.ts";
import { defaultAdamW } from "../../regimen/adamw.ts";
import { SeriesTask } from "../../regimen/seriesTask.ts";
import { Trainer } from "../../regimen/trainer.ts";
import { openCpu } from "../../runtime/device.node.ts";
import { seriesSystems } from "../../systems/registry.ts";
import { RandomStream } from "../../tensor/random.ts";
import { type Forecaster, trainedForecaster } from "./forecaster.ts";
import { dLinear, nLinear } from "./linearModels.ts";
import { measureForecasts } from "./measure.ts";
import { naive, seasonalNaive } from "./naive.ts";
import { benchmarkTraining, trainForecaster } from "./train.ts";
import { vanillaTransformer } from "./transformer.ts";

const device = await openCpu({ threads: 1 });
const sizes = { contextLength: 24, predictionLength: 8 };
const table = syntheticSeries({ rows: 700, channels: 2, periods: [12], seed: 3, noise: 0.02 });
const source: SeriesSource = {
  ...{ id: "waves", version: "0", table, frequency: "h", season: 12 },
  borders: shareBorders(700),
};
const windows = (split: "train" | "validation" | "test") => openWindows(source, split, sizes);
const shape = { ...sizes, channels: 2, frequency: "h" } as const;
const tiny = { embedDim: 8, numHeads: 2, feedForwardDim: 8, encoderDepth: 1, decoderDepth: 1 };

const models = {
  dlinear: () => dLinear(sizes, 2),
  nlinear: () => nLinear(sizes, 2),
  transformer: () => vanillaTransformer({ ...sizes, channels: 2, marks: 4, labelLength: 12 }, tiny),
  ...Object.fromEntries(
    [...seriesSystems].map(([id, system]) => [id, () => system.trainee(system.smallConfig(shape), 2)]),
  ),
};

it("naive and seasonal-naive copy the rows they should", async () => {
  const batch = windows("test").batch([0, 5], 0);
  const at = (values: ArrayLike<number>, b: number, row: number, rows: number, c: number) =>
    values[(b * rows + row) * 2 + c];
  const [last, seasonal] = [await naive.forecast(batch), await seasonalNaive(5).forecast(batch)];
  for (const b of [0, 1]) {
    for (let step = 0; step < 8; step++) {
      expect(at(last, b, step, 8, 1)).toBe(at(batch.past.data, b, 23, 24, 1));
      expect(at(seasonal, b, step, 8, 1)).toBe(at(batch.past.data, b, 24 - 5 + (step % 5), 24, 1));
    }
  }
  expect(await seasonalNaive(25).forecast(batch)).toEqual(last);
});

it("errors are plain means, by step and by channel too", async () => {
  const off: Forecaster = {
    name: "off",
    labelLength: 0,
    forecast: async ({ future }) =>
      Float32Array.from(
        future.data,
        (value, i) => value + (i % 2 === 0 ? 1 : -3) * (Math.floor(i / 2) % 8 === 0 ? 2 : 1),
      ),
  };
  const errors = await measureForecasts(off, windows("test"), { batchSize: 7 });
  expect(errors.mseByStep[0]).toBeCloseTo(20, 4);
  expect(errors.mseByStep[1]).toBeCloseTo(5, 4);
  expect(errors.mseByChannel[1]).toBeCloseTo((9 * 7 + 36) / 8, 4);
  expect(errors.mse).toBeCloseTo((5 * 7 + 20) / 8, 4);
  expect(errors.mae).toBeCloseTo((2 * 7 + 4) / 8, 4);
  expect(errors.windows).toBe(windows("test").length);
  expect((await measureForecasts(off, windows("test"), { stride: 10 })).windows).toBe(
    Math.ceil(windows("test").length / 10),
  );
});

it.each(Object.keys(models))(
  "%s learns a small wave better than repeating the last row",
  async (name) => {
    const trainee = (models[name as keyof typeof models] as () => ReturnType<typeof dLinear>)();
    const { weights, epochs } = await trainForecaster(
      trainee,
      { ...benchmarkTraining, batchSize: 16, learningRate: 0.01, epochs: 3, validationStride: 4 },
      { device, train: windows("train"), validation: windows("validation") },
    );
    expect(epochs.length).toBeGreaterThan(0);
    using forecaster = await trainedForecaster(name, trainee, weights, device);
    const options = { stride: 5 };
    const [own, base] = [
      await measureForecasts(forecaster, windows("test"), options),
      await measureForecasts(naive, windows("test"), options),
    ];
    expect(own.mse).toBeLessThan(0.5 * base.mse);
  },
  120_000,
);

it("training stops when the validation error no longer falls, and keeps the best", async () => {
  const { weights, epochs } = await trainForecaster(
    dLinear(sizes, 2),
    { ...benchmarkTraining, batchSize: 64, learningRate: 1, epochs: 10, patience: 1, validationStride: 4 },
    { device, train: windows("train"), validation: windows("validation") },
  );
  expect(epochs.length).toBeLessThan(10);
  const best = Math.min(...epochs.map(({ validationMse }) => validationMse));
  using forecaster = await trainedForecaster("best", dLinear(sizes, 2), weights, device);
  const { mse } = await measureForecasts(forecaster, windows("validation"), { stride: 4 });
  expect(mse).toBeCloseTo(best, 6);
});

it("a resumed training equals an uninterrupted one, also in the middle of an epoch", async () => {
  const options = {
    schedule: { name: "halving", peak: 0.01, steps: 50, warmup: 0, end: 0, period: 20 },
    optimizer: defaultAdamW,
    accumulate: 1,
    emaDecay: 0,
  } as const;
  const begin = async () => new SeriesTask(nLinear(sizes, 2), windows("train"), 64, 1);
  const stream = () => RandomStream.from(1, "train/init");
  using whole = await Trainer.create(await begin(), options, device, stream());
  for (let i = 0; i < 12; i++) await whole.advance();
  using first = await Trainer.create(await begin(), options, device, stream());
  for (let i = 0; i < 5; i++) await first.advance();
  using second = await Trainer.create(await begin(), options, device, first.snapshot());
  for (let i = 0; i < 7; i++) await second.advance();
  expect(second.weights).toEqual(whole.weights);
});

const root = dataRootFromEnvironment();
const known = [
  ["etth1", 96, 96, 1.294, 0.713],
  ["etth2", 96, 96, 0.432, 0.422],
  ["exchange", 96, 96, 0.081, 0.196],
] as const;
for (const [id, contextLength, predictionLength, mse, mae] of known) {
  const folder = id === "exchange" ? "exchange-rate" : "ett";
  const present = root !== undefined && existsSync(join(root, folder));
  /** Published for "Repeat" in arXiv 2205.13504, table 2: 1.295/0.713, 0.432/0.422, 0.081/0.196. */
  it.skipIf(!present)(
    `the naive errors on ${id} are the published ones${present ? "" : " (skipped: no data)"}`,
    async () => {
      const opened = openWindows(await openSeries(id, root), "test", { contextLength, predictionLength });
      const errors = await measureForecasts(naive, opened);
      expect(errors.mse).toBeCloseTo(mse, 2);
      expect(errors.mae).toBeCloseTo(mae, 2);
    },
  );
}
