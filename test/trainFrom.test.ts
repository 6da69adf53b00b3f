/** Training that goes on from a finished model: what moves, what stays, what is refused. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeModel } from "../src/formats/modelFile.ts";
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

const base = join(work, "base");
beforeAll(async () => {
  const noRefine = { train: { ...tiny.train, refine: { steps: 0 } } };
  const stages = await run("sar", { recipe: "smoke", overrides: noRefine, folder: base });
  expect(stages).toEqual(["tokenizer from 0", "transformer from 0"]);
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
});
