/** The classifiers that ship: the files that the source names, small, made by the recipes here, as good as promised. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createSynth } from "../../data/synth/synth.ts";
import { packageRoot } from "../../models.node.ts";
import { openCpu } from "../../runtime/device.node.ts";
import { drawPictures } from "../evaluatePictures.ts";
import { sampleAccuracy } from "../metrics.ts";
import { openFrozenClassifier } from "./classifier.node.ts";
import { frozenClassifiers } from "./frozen.ts";
import { classifierRecipes } from "./recipes.ts";

const root = join(packageRoot(), "models", "classifiers");
const device = await openCpu({ threads: 1 });

it("there is one per recipe", () => {
  expect(Object.keys(frozenClassifiers).sort()).toEqual(Object.keys(classifierRecipes).sort());
});

describe.each(Object.entries(frozenClassifiers))("%s", (set, { folder, sha256 }) => {
  it("is the named file, at most 0.5 MB, and its card says how it was made", async () => {
    using extractor = await openFrozenClassifier(root, set, device);
    expect(extractor?.sha256).toBe(sha256);
    expect(extractor?.dims).toBe(64);
    expect(statSync(join(root, folder, "classifier.safetensors")).size).toBeLessThan(500_000);
    const card = JSON.parse(readFileSync(join(root, folder, "card.json"), "utf8"));
    expect(card.recipe).toEqual(classifierRecipes[set]);
    expect(card.data).toMatchObject({ set, trained: "train", heldOut: "test" });
    expect(card.headline).toBeGreaterThanOrEqual(card.recipe.target);
    expect(card.provenance.command).toContain(set);
  });
});

it("that of synth knows the classes of pictures it never saw", async () => {
  using extractor = await openFrozenClassifier(root, "synth", device);
  const drawn = drawPictures(createSynth({ size: 32, split: "test" }), 500);
  const { logits } = (await extractor?.extract(drawn)) ?? {};
  expect(logits && sampleAccuracy(logits, drawn.labels).rate).toBeGreaterThanOrEqual(0.98);
});
