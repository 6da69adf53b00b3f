/** Forecasters in run folders: stopped and resumed bit for bit, measured from the file, hostile files refused by name. */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openSeries } from "../src/data/series/seriesSets.node.ts";
import { openWindows } from "../src/data/series/windows.ts";
import { trainedForecaster } from "../src/evaluate/forecast/forecaster.ts";
import { forecastWithModel } from "../src/forecastWithModel.node.ts";
import { decodeSeriesModel, encodeSeriesModel } from "../src/formats/seriesModelFile.ts";
import { inspect } from "../src/inspect.node.ts";
import { findModel } from "../src/models.node.ts";
import { openCpu } from "../src/runtime/device.node.ts";
import { evaluateSeries, isSeriesModel } from "../src/seriesProgramme.node.ts";
import { autoformerSystem } from "../src/systems/autoformer/system.ts";
import { train } from "../src/train.node.ts";

const root = mkdtempSync(join(tmpdir(), "nextx-series-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Trains the smoke recipe; stops after that many steps where told. */
async function run(name: string, system = "autoformer", stopAfter = Number.POSITIVE_INFINITY) {
  const stop = new AbortController();
  const kinds: string[] = [];
  const folder = join(root, name);
  const options = { folder, recipe: "smoke", signal: stop.signal, every: { checkpoint: 10, observe: 20 } };
  for await (const event of train(system, options)) {
    kinds.push(event.kind);
    if (event.kind === "step" && event.report.step === stopAfter) stop.abort();
  }
  return { folder, kinds, bytes: () => readFileSync(join(folder, "model.safetensors")) };
}

it("a run that was stopped ends in the same bytes as one that was not", async () => {
  const whole = await run("whole");
  const first = await run("parts", "autoformer", 17);
  expect(first.kinds.at(-1)).toBe("stopped");
  const second = await run("parts");
  expect(second.kinds.filter((kind) => kind === "step").length).toBe(40 - 17);
  expect(second.bytes().equals(whole.bytes())).toBe(true);
  expect(second.kinds).toContain("observed");
}, 120_000);

it("a run that ended right after its last checkpoint has looked at held-out data", async () => {
  const folder = join(root, "killed");
  const options = { folder, recipe: "smoke", every: { checkpoint: 10, observe: 20 } };
  for await (const event of train("autoformer", options))
    if (event.kind === "saved" && event.step === 40) break;
  await run("killed");
  const log = readFileSync(join(folder, "1-forecaster", "metrics.jsonl"), "utf8");
  const rows = log
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const looked = rows.filter((row) => "validationMse" in row || "validationLoss" in row);
  expect(looked.map(({ step }) => step)).toEqual([20, 40]);
}, 120_000);

it.each(["autoformer", "spacetime"])(
  "%s learns: better than the last value, from its file alone",
  async (system) => {
    const { folder } = await run(`learnt-${system}`, system);
    const { errors, data } = await evaluateSeries(folder);
    expect(data).toMatchObject({ set: "waves", split: "test", predictionLength: 12 });
    expect(errors[system]?.mse).toBeLessThan(errors.naive?.mse ?? 0);
    expect(await isSeriesModel(folder)).toBe(true);
    expect((await inspect(folder)).next).toBe(`nextx eval ${folder}`);
  },
  120_000,
);

it.each([
  ["autoformer", { data: { contextLength: 8_000 } }, "SERIES_TOO_SHORT"],
  ["spacetime", { data: { contextLength: 3 } }, "SERIES_TOO_SHORT"],
  [
    "spacetime",
    { data: { contextLength: 3_000 }, train: { forecaster: { batchSize: 4_096 } } },
    "DATA_BAD_BATCH_SIZE",
  ],
] as const)("%s with %j leaves no run folder behind", async (system, overrides, code) => {
  const folder = join(root, `refused-${system}-${code}`);
  const refused = train(system, { folder, recipe: "smoke", overrides });
  await expect(refused.next()).rejects.toMatchObject({ code });
  expect(existsSync(folder)).toBe(false);
});

it("is told by name when it is asked for pictures, and pictures when asked for forecasts", async () => {
  const { folder } = await run("whole");
  await expect(findModel(folder)).rejects.toMatchObject({ code: "MODEL_OTHER_TASK" });
  await expect(evaluateSeries("models/synth-32/model.safetensors")).rejects.toMatchObject({
    code: "MODEL_OTHER_TASK",
  });
  await expect(evaluateSeries("nowhere")).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
  const from = train("autoformer", { folder: join(root, "from"), from: "synth-32" });
  await expect(from.next()).rejects.toMatchObject({ code: "TRAIN_NO_FROM" });
});

it("refuses damaged descriptions, other versions of the data and unknown systems", async () => {
  const { folder } = await run("whole");
  const file = decodeSeriesModel(readFileSync(join(folder, "model.safetensors")), "model");
  const written = (change: object) => {
    const path = join(root, "changed.safetensors");
    writeFileSync(path, encodeSeriesModel({ ...file, description: { ...file.description, ...change } }));
    return evaluateSeries(path);
  };
  await expect(written({ setVersion: "other" })).rejects.toMatchObject({ code: "DATA_OTHER_VERSION" });
  await expect(written({ system: "nothing" })).rejects.toMatchObject({ code: "SYSTEM_UNKNOWN" });
  await expect(written({ contextLength: -1 })).rejects.toMatchObject({ code: "MODEL_BAD_HEAD" });
  await expect(written({ config: { embedDim: "x" } })).rejects.toMatchObject({ code: "CONFIG_BAD_VALUE" });
  await expect(written({ predictionLength: 11 })).rejects.toMatchObject({
    code: "MODEL_BAD_HEAD",
    path: "config.predictionLength",
  });
  await expect(written({ channels: [] })).rejects.toMatchObject({ code: "MODEL_BAD_HEAD" });
  const torn = join(root, "torn.safetensors");
  copyFileSync(join(folder, "model.safetensors"), torn);
  writeFileSync(torn, readFileSync(torn).subarray(0, 100));
  await expect(evaluateSeries(torn)).rejects.toMatchObject({ code: expect.stringMatching(/^SAFETENSORS_/) });
  expect(await isSeriesModel(torn)).toBe(false);
});

describe("forecasting a table", () => {
  /** The last rows of the test split's channels, as a long table. */
  async function tableOf(rows: number, change: (id: string) => string = (id) => id, hours = 1) {
    const { table } = await openSeries("waves", undefined);
    const first = table.timesMs.length - rows;
    const lines = table.channels.flatMap((id, channel) =>
      Array.from({ length: rows }, (_, i) => {
        const at = first + i;
        const ms = (table.timesMs[first] as number) + i * hours * 3_600_000;
        const time = new Date(ms).toISOString().slice(0, 19).replace("T", " ");
        return `${change(id)},${time},${table.values[at * table.channels.length + channel]}`;
      }),
    );
    return ["unique_id,ds,y", ...lines].join("\n");
  }

  it("gives what the model gives for the same window, on the scale of the series", async () => {
    const { folder } = await run("whole");
    const { forecast } = await forecastWithModel(await tableOf(30), "t.csv", { model: folder, horizon: 5 });
    const { description, weights } = decodeSeriesModel(readFileSync(join(folder, "model.safetensors")), "m");
    const source = await openSeries("waves", undefined);
    const { contextLength, predictionLength, channels } = description;
    const sizes = { contextLength, predictionLength };
    const { table } = source;
    // a window that looks back on the last rows: the rows after them are not known, so they are made up
    const longer = {
      ...source,
      table: {
        ...table,
        timesMs: Float64Array.from({ length: table.timesMs.length + predictionLength }, (_, i) =>
          i < table.timesMs.length
            ? (table.timesMs[i] as number)
            : (table.timesMs.at(-1) as number) + (i - table.timesMs.length + 1) * 3_600_000,
        ),
        values: Float32Array.from(
          { length: table.values.length + predictionLength * channels.length },
          (_, i) => table.values[i] ?? 0,
        ),
      },
      borders: {
        ...source.borders,
        test: [table.timesMs.length, table.timesMs.length + predictionLength] as const,
      },
    };
    const windows = openWindows(longer, "test", sizes);
    const trainee = autoformerSystem.trainee(description.config, channels.length);
    using forecaster = await trainedForecaster("m", trainee, weights, await openCpu({ threads: 2 }));
    const values = await forecaster.forecast(windows.batch([windows.length - 1], forecaster.labelLength));
    for (const [channel, { name, mean, deviation }] of channels.entries()) {
      const own = forecast.find(({ id }) => id === name);
      for (const step of [0, 4])
        expect(own?.values[step]).toBeCloseTo(
          (values[step * channels.length + channel] as number) * deviation + mean,
          4,
        );
      expect(own?.timesMs[0]).toBe((table.timesMs.at(-1) as number) + 3_600_000);
    }
  });

  it("says what does not fit", async () => {
    const { folder: model } = await run("whole");
    const ask = async (rows: number, horizon: number, change?: (id: string) => string) =>
      forecastWithModel(await tableOf(rows, change), "t.csv", { model, horizon });
    await expect(ask(30, 0)).rejects.toMatchObject({ code: "CONFIG_BAD_VALUE" });
    await expect(ask(30, 13)).rejects.toMatchObject({ code: "FORECAST_TOO_FAR" });
    await expect(ask(20, 3)).rejects.toMatchObject({ code: "SERIES_TOO_SHORT" });
    await expect(ask(30, 3, (id) => `${id}x`)).rejects.toMatchObject({ code: "FORECAST_OTHER_SERIES" });
    const slower = await tableOf(30, undefined, 6); // the same letter, another step
    await expect(forecastWithModel(slower, "t.csv", { model, horizon: 3 })).rejects.toMatchObject({
      code: "FORECAST_OTHER_STEP",
    });
    const daily = (await tableOf(30)).replace(/ \d\d:00:00/g, "");
    await expect(forecastWithModel(daily, "t.csv", { model, horizon: 3 })).rejects.toMatchObject({
      code: expect.stringMatching(/^SERIES_/),
    });
  });
});
