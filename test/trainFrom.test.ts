/** Training that goes on from a finished model: what moves, what stays, what is refused. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeModel } from "../src/formats/modelFile.ts";
import { encodePng } from "../src/formats/png.ts";
import { findModel } from "../src/models.node.ts";
import { type TrainOptions, train } from "../src/train.node.ts";

const work = mkdtempSync(join(tmpdir(), "nextx-from-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const tinyStage = { steps: 4, batchSize: 4, warmup: 1, tokenImages: 32 };
const tiny = {
  train: { tokenizer: { steps: 3, batchSize: 4 }, transformer: tinyStage, refine: tinyStage },
};

async function run(system: string, options: Omit<TrainOptions, "every">): Promise<string[]> {
  const stages: string[] = [];
  const every = { checkpoint: 2, observe: 4, log: 1 };
  for await (const event of train(system, { ...options, every }))
    if (event.kind === "stage") stages.push(`${event.stage} from ${event.from}`);
  return stages;
}

/** What a run's config says. */
const configOf = (folder: string) => JSON.parse(readFileSync(join(folder, "run.json"), "utf8")).config;

/** A folder of flat pictures, 60 of each class. */
function ownPictures(folder: string): string {
  for (const [label, name] of ["dark", "light"].entries()) {
    mkdirSync(join(folder, name), { recursive: true });
    for (let i = 0; i < 60; i++) {
      const pixels = new Uint8Array(8 * 8 * 3).fill(40 + 150 * label + i);
      writeFileSync(join(folder, name, `${i}.png`), encodePng({ width: 8, height: 8, pixels }));
    }
  }
  return folder;
}

const base = join(work, "base");
beforeAll(async () => {
  const noRefine = { train: { ...tiny.train, refine: { steps: 0 } } };
  const stages = await run("sar", { recipe: "smoke", overrides: noRefine, folder: base });
  expect(stages).toEqual(["tokenizer from 0", "transformer from 0"]);
}, 120_000);

it("a run that is told to stop while it tokenises ends as stopped, and goes on from there", async () => {
  const stop = new AbortController();
  const overrides = { train: { ...tiny.train, refine: { steps: 0 } } };
  const options = { recipe: "smoke", overrides, folder: join(work, "stopped-early") };
  const events = [];
  for await (const event of train("sar", { ...options, signal: stop.signal, onProgress: () => stop.abort() }))
    events.push(event);
  expect(events.at(-1)).toEqual({ kind: "stopped", stage: "transformer", step: 0 });
  expect(await run("sar", options)).toEqual(["transformer from 0"]);
}, 120_000);

describe("train --from", () => {
  it("trains the last stage only, from the model's weights and with its sizes", async () => {
    const folder = join(work, "refined");
    const stages = await run("sar", { recipe: "synth-32", overrides: tiny, from: base, folder });
    expect(stages).toEqual(["refine from 0"]);
    const [before, after] = [await findModel(base), await findModel(folder)];
    expect(after.description).toEqual(before.description);
    const moved = [...after.weights]
      .filter(([name, { data }]) => String(data) !== String(before.weights.get(name)?.data))
      .map(([name]) => name.slice(0, 4));
    expect([...new Set(moved)]).toEqual(["var."]);
    const { config } = JSON.parse(readFileSync(join(folder, "run.json"), "utf8"));
    expect(config.schedules).toMatchObject({ last: 4, budget: 30 }); // the model's, not those of the named recipe
  }, 60_000);

  it("goes on with its own copy when the run is resumed without the model", async () => {
    const folder = join(work, "stopped");
    const stop = new AbortController();
    for await (const event of train("sar", {
      ...{ recipe: "smoke", overrides: tiny, from: base, folder, signal: stop.signal },
      every: { checkpoint: 2, observe: 4, log: 1 },
    }))
      if (event.kind === "step") stop.abort();
    expect(await run("sar", { folder })).toEqual(["refine from 1"]);
    const whole = join(work, "whole");
    await run("sar", { recipe: "smoke", overrides: tiny, from: base, folder: whole });
    expect((await findModel(folder)).sha256).toBe((await findModel(whole)).sha256);
  }, 60_000);

  it("refuses a model of another system, and data with other classes", async () => {
    await expect(run("var", { recipe: "smoke", from: base, folder: join(work, "a") })).rejects.toMatchObject({
      code: "TRAIN_OTHER_SYSTEM",
    });
    const { description, weights } = await findModel(base);
    const renamed = { ...description, classNames: description.classNames.map((name) => `${name}!`) };
    const other = join(work, "other.safetensors");
    writeFileSync(other, encodeModel({ description: renamed, weights }, "F16"));
    const folder = join(work, "b");
    await expect(run("sar", { recipe: "smoke", from: other, folder })).rejects.toMatchObject({
      code: "TRAIN_OTHER_CLASSES",
    });
  });

  it("takes data set, size, flips and schedules from the run that made the model, below what is asked for", async () => {
    const dataRoot = ownPictures(join(work, "pictures"));
    const own = {
      data: { set: "folder", size: 64, horizontalFlip: true },
      tokenizer: { latentSide: 8 }, // 64 px
      schedules: { fullShare: 0.7 },
      train: { ...tiny.train, refine: { steps: 0 } },
    };
    const made = join(work, "own");
    await run("sar", { recipe: "smoke", overrides: own, dataRoot, folder: made });
    const refined = join(work, "own-refined");
    await run("sar", {
      overrides: { train: tiny.train, data: { cropRatio: 1.5 } },
      from: made,
      dataRoot,
      folder: refined,
    });
    const { data, schedules } = configOf(refined);
    expect(data).toEqual({ set: "folder", size: 64, horizontalFlip: true, cropRatio: 1.5 });
    expect(schedules).toMatchObject({ fullShare: 0.7, last: 4 });
  }, 120_000);

  it("takes them from the card of a model that ships", async () => {
    const folder = join(work, "fashion");
    const nowhere = { from: "flexvar-fashion-32", folder, dataRoot: join(work, "nowhere") };
    await expect(run("sar", nowhere)).rejects.toMatchObject({
      path: expect.stringMatching(/nowhere.*fashion-mnist/),
    });
    expect(existsSync(folder)).toBe(false); // it would refuse the next try
  }, 60_000);

  it("of a model that says nothing of its data, takes the size", async () => {
    const { description, weights } = await findModel(base);
    const config = description.config as { tokenizer: object };
    const larger = {
      ...description,
      imageSize: 64,
      config: { ...config, tokenizer: { ...config.tokenizer, latentSide: 8 } },
    };
    const other = join(work, "larger.safetensors");
    writeFileSync(other, encodeModel({ description: larger, weights }, "F16"));
    const folder = join(work, "c");
    await run("sar", { recipe: "smoke", overrides: tiny, from: other, folder });
    expect(configOf(folder).data).toMatchObject({ set: "synth", size: 64 });
  }, 60_000);

  it("names the flags that say which data a model wants", async () => {
    const { description, weights } = await findModel(base);
    const renamed = join(work, "renamed.safetensors");
    const classNames = description.classNames.map((name) => `${name}!`);
    writeFileSync(renamed, encodeModel({ description: { ...description, classNames }, weights }, "F16"));
    await expect(run("sar", { from: renamed, folder: join(work, "d") })).rejects.toMatchObject({
      code: "TRAIN_OTHER_CLASSES",
      hint: expect.stringMatching(/--data-set.*--recipe/),
    });
    const config = description.config as { tokenizer: object };
    const huge = join(work, "huge.safetensors");
    const larger = {
      ...description,
      imageSize: 128,
      config: { ...config, tokenizer: { ...config.tokenizer, latentSide: 16 } },
    };
    writeFileSync(huge, encodeModel({ description: larger, weights }, "F16"));
    const sizes = {
      code: "TRAIN_OTHER_SIZE",
      hint: expect.stringMatching(/--data-set folder --data FOLDER/),
    };
    await expect(run("sar", { from: huge, folder: join(work, "e") })).rejects.toMatchObject(sizes);
    const asked = { from: base, overrides: { data: { size: 64 } }, folder: join(work, "f") };
    await expect(run("sar", asked)).rejects.toMatchObject({
      code: "TRAIN_OTHER_SIZE",
      message: expect.stringContaining("32 px"),
      hint: expect.stringContaining("--data-size"),
    });
  });

  it("refines a VAR model when told the method, and says so when SAR is asked for", async () => {
    const hint = "nextx train var --from synth-32 --train-refine-method sar-paper";
    const wrong = { from: "synth-32", folder: join(work, "g") };
    await expect(run("sar", wrong)).rejects.toMatchObject({ code: "TRAIN_OTHER_SYSTEM", hint });
    const folder = join(work, "var-refined");
    const refine = { method: "sar-paper", ...tinyStage, steps: 2 };
    const stages = await run("var", { from: "synth-32", overrides: { train: { refine } }, folder });
    expect(stages).toEqual(["refine from 0"]);
    const [row] = readFileSync(join(folder, "3-refine/metrics.jsonl"), "utf8").split("\n");
    expect(Object.keys(JSON.parse(row ?? ""))).toEqual(
      expect.arrayContaining(["teacherLoss", "studentLoss"]),
    );
  }, 60_000);

  it("has the flags that SAR's README uses", () => {
    const root = fileURLToPath(new URL("..", import.meta.url));
    const readme = readFileSync(join(root, "src/systems/sar/README.md"), "utf8").replaceAll("\\\n", " ");
    const lines = readme
      .split("\n")
      .filter((line) => line.startsWith("nextx train ") && line.includes("--from"));
    expect(lines).toHaveLength(3);
    const help = (id: string) =>
      spawnSync(process.execPath, [join(root, "bin/nextx.js"), "train", id, "--help"], { encoding: "utf8" })
        .stdout;
    const known = { sar: help("sar"), var: help("var") };
    for (const line of lines) {
      const id = line.split(" ")[2] as keyof typeof known;
      for (const [flag] of line.matchAll(/--[a-z0-9-]+/g)) expect(known[id], line).toContain(`${flag} `);
    }
  }, 60_000);
});
