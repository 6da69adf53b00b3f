/** Forecasters in run folders: stopped and resumed bit for bit, measured from the file, hostile files refused by name. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { decodeSeriesModel, encodeSeriesModel } from "../src/formats/seriesModelFile.ts";
import { inspect } from "../src/inspect.node.ts";
import { findModel } from "../src/models.node.ts";
import { evaluateSeries, isSeriesModel } from "../src/seriesProgramme.node.ts";
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
  await expect(written({ channels: [] })).rejects.toMatchObject({ code: "MODEL_BAD_HEAD" });
  const torn = join(root, "torn.safetensors");
  copyFileSync(join(folder, "model.safetensors"), torn);
  writeFileSync(torn, readFileSync(torn).subarray(0, 100));
  await expect(evaluateSeries(torn)).rejects.toMatchObject({ code: expect.stringMatching(/^SAFETENSORS_/) });
  expect(await isSeriesModel(torn)).toBe(false);
});
