/** The classifier at a tiny size: it learns, its file is frozen, its features come back. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { createSynth } from "../../data/synth/synth.ts";
import { type ConvClassifierConfig, convClassifier } from "../../nn/convClassifier.ts";
import { parameterCount, Scope } from "../../nn/scope.ts";
import { defaultAdamW } from "../../regimen/adamw.ts";
import { Trainer } from "../../regimen/trainer.ts";
import { openCpu } from "../../runtime/device.node.ts";
import { RandomStream } from "../../tensor/random.ts";
import { float32, input } from "../../tensor/tensor.ts";
import {
  classifierAccuracy,
  headlineAccuracy,
  openClassifier,
  openFrozenClassifier,
  readClassifierCard,
  trainClassifier,
} from "./classifier.node.ts";
import { classifierConfig, classifierRecipe, questionsOf } from "./recipes.ts";
import { ClassifierTask, heldOutBatches } from "./task.ts";

const device = await openCpu({ threads: 1 });
const work = mkdtempSync(join(tmpdir(), "nextx-classifier-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const withCode = (code: string) => expect.objectContaining({ code });
const pictures = createSynth({ size: 32, split: "train", length: 16 });
const tiny: ConvClassifierConfig = {
  ...classifierConfig(32, questionsOf(pictures).heads),
  widths: [8, 8, 8],
  numResBlocks: 1,
  numGroups: 2,
  dims: 16,
};
const recipe = { ...classifierRecipe("synth"), batchSize: 16, steps: 2 };

describe("questions", () => {
  it("are the class and, for procedural pictures, every factor in range", () => {
    const { heads, answers } = questionsOf(pictures);
    expect(heads.map(({ name }) => name).slice(0, 3)).toEqual(["class", "shape", "mainColour"]);
    for (let i = 0; i < pictures.length; i++) {
      const given = answers(i, pictures.get(i).label);
      expect(given).toHaveLength(heads.length);
      given.forEach((value, k) => {
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThan(heads[k]?.classes ?? 0);
      });
      expect(given[0]).toBe(2 * (given[1] ?? 0) + ((given[2] ?? 0) >> 2));
    }
    const { factors: _, ...plain } = pictures;
    expect(questionsOf(plain).heads).toEqual([{ name: "class", classes: 16 }]);
  });

  it("give held-out pictures once each, in order, up to a limit", () => {
    const sizes = [...heldOutBatches(pictures, 10)].map(({ answers }) => answers.shape[0]);
    expect(sizes.reduce((a = 0, b) => a + (b ?? 0), 0)).toBe(10);
  });
});

it("has the promised size: about 0.2 million weights, 64 features", () => {
  for (const imageSize of [32, 64]) {
    const scope = Scope.root();
    const config = classifierConfig(imageSize, [{ name: "class", classes: 10 }]);
    const { features, logits } = convClassifier(
      scope,
      input("x", float32("B", 3, imageSize, imageSize)),
      config,
    );
    expect(features.shape.map(String)).toEqual(["B", "64"]);
    expect(logits.map(({ shape }) => shape.map(String))).toEqual([["B", "10"]]);
    expect(parameterCount(scope.specs)).toBeGreaterThan(180_000);
    expect(parameterCount(scope.specs)).toBeLessThan(250_000);
  }
});

it("learns sixteen pictures by heart, and goes on after a break with the same bits", {
  timeout: 60_000,
}, async () => {
  const options = {
    schedule: { name: "constant", peak: 1e-2, steps: 40, warmup: 0, end: 1 } as const,
    optimizer: { ...defaultAdamW, weightDecay: 0 },
    accumulate: 1,
    emaDecay: 0,
  };
  const task = () => new ClassifierTask(tiny, pictures, recipe);
  using whole = await Trainer.create(task(), options, device, RandomStream.from(1, "init"));
  const first = await whole.advance();
  for (let i = 1; i < 20; i++) await whole.advance();
  using resumed = await Trainer.create(task(), options, device, whole.snapshot());
  for (let i = 20; i < 39; i++) {
    await whole.advance();
    await resumed.advance();
  }
  const [last, again] = [await whole.advance(), await resumed.advance()];
  expect(last.loss).toBeLessThan(0.5 * first.loss);
  expect(again).toEqual(last);
  const { accuracy, count } = await classifierAccuracy(tiny, whole.weights, pictures, device);
  expect(count).toBe(16);
  expect(accuracy.class).toBeGreaterThan(0.3);
  expect(headlineAccuracy({ class: 0.1, a: 0.5, b: 1 })).toBe(0.75);
  expect(headlineAccuracy({ class: 0.1 })).toBe(0.1);
});

describe("a frozen file", () => {
  const folder = join(work, "synth-32");
  const path = join(folder, "classifier.safetensors");
  const request = {
    recipe,
    train: pictures,
    heldOut: createSynth({ size: 32, split: "test", length: 8 }),
    folder,
    device,
    licence: "MIT",
    provenance: { command: "a test" },
  };

  it("is written once with its card and opened as an extractor", { timeout: 60_000 }, async () => {
    await expect(trainClassifier({ ...request, signal: AbortSignal.abort() })).rejects.toThrow(
      withCode("ABORTED"),
    );
    const card = await trainClassifier(request); // no listener: training goes on all the same
    expect(card).toMatchObject({
      data: { set: "synth", heldOut: "test", count: 8 },
      provenance: { command: "a test" },
    });
    await expect(trainClassifier(request)).rejects.toThrow(withCode("CLASSIFIER_EXISTS"));
    const frozen = { synth: { folder: "synth-32", sha256: card.sha256 } };
    expect(await openFrozenClassifier(work, "tiles", device, frozen)).toBeUndefined();
    using extractor = await openFrozenClassifier(work, "synth", device, frozen);
    expect(extractor?.sha256).toBe(card.sha256);
    expect(extractor?.inputSize).toBe(32);
    expect(extractor?.classNames).toEqual(pictures.classNames);
    const one = { pixels: pictures.get(0).pixels, count: 1, size: 32 };
    const { features, logits } = (await extractor?.extract(one)) ?? {};
    expect(features?.dims).toBe(64);
    expect(logits?.dims).toBe(16);
  });

  it("has the same bytes with a listener, which hears of every step", { timeout: 60_000 }, async () => {
    const steps: number[] = [];
    const again = { ...request, folder: join(work, "again") };
    const card = await trainClassifier({ ...again, onStep: ({ step }, of) => steps.push(step, of) });
    expect(steps).toEqual([1, 2, 2, 2]);
    expect(card.sha256).toBe((await readClassifierCard(folder)).sha256);
  });

  it("is refused after a change, and when another one lies in its place", async () => {
    const other = { synth: { folder: "synth-32", sha256: "0".repeat(64) } };
    await expect(openFrozenClassifier(work, "synth", device, other)).rejects.toThrow(
      withCode("CLASSIFIER_NOT_FROZEN"),
    );
    const bytes = readFileSync(path);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(path, bytes);
    await expect(openClassifier(folder, device)).rejects.toThrow(withCode("CLASSIFIER_DAMAGED"));
    rmSync(path);
    await expect(openClassifier(folder, device)).rejects.toThrow(withCode("CLASSIFIER_DAMAGED"));
    await expect(openClassifier(work, device)).rejects.toThrow(withCode("CLASSIFIER_BAD_CARD"));
    expect(() => classifierRecipe("nothing")).toThrow(withCode("CLASSIFIER_UNKNOWN_SET"));
  });
});
