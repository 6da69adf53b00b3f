/** Which models clients see: the lead system's first, and none that its system cannot read. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { encodeModel } from "../formats/modelFile.ts";
import { packageRoot } from "../models.node.ts";
import { storyModels } from "../storyModels.ts";
import { Catalogue } from "./catalogue.node.ts";

const work = mkdtempSync(join(tmpdir(), "nextx-catalogue-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

it("begins with SAR's model and leaves out what is no model of its system", async () => {
  const folder = join(work, "bad-abc123");
  mkdirSync(folder);
  const path = join(folder, "bad.safetensors");
  const description = { system: "var", config: 5, classNames: ["a"], imageSize: 32 };
  writeFileSync(path, encodeModel({ description, weights: new Map() }, "F32"));
  const ids = (await (await Catalogue.open({ files: work })).list()).map(({ info }) => info.id);
  expect(ids[0]).toBe(storyModels.refined);
  expect(ids.filter((id) => id.startsWith("file:"))).toEqual([]);
  await expect(Catalogue.open({ models: [path] })).rejects.toMatchObject({ code: "MODEL_BAD_CONFIG" });
});

it("finds models that just came, for all who ask at once", async () => {
  const files = join(work, "later");
  mkdirSync(files);
  const catalogue = await Catalogue.open({ files });
  const ids = ["one-abc123", "two-abc123"];
  for (const id of ids) {
    mkdirSync(join(files, id));
    cpSync(join(packageRoot(), "models/synth-32/model.safetensors"), join(files, id, "m.safetensors"));
  }
  await new Promise((resolve) => setTimeout(resolve, 600)); // files are not looked at again at once
  const found = await Promise.all(ids.map((id) => catalogue.find(`file:${id}`)));
  expect(found.map(({ info }) => info.id)).toEqual(["file:one-abc123", "file:two-abc123"]);
  await expect(catalogue.find("file:nobody")).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
});
