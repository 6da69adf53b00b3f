/** Pictures of models that do not ship: their recipe names no folder, so whoever makes them again must. */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { load } from "./load.node.ts";
import { shippedModels } from "./models.node.ts";
import { reproducePicture } from "./picture.node.ts";
import { samplePicture } from "./picture.ts";

const folder = mkdtempSync(join(tmpdir(), "nextx-picture-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("a picture of another place's model says that its place is missing, and is the same with it", async () => {
  const file = join(folder, "mine.safetensors");
  const [shipped] = shippedModels();
  copyFileSync(shipped?.path ?? "", file);
  using model = await load(file);
  const { png } = await samplePicture(model, { seed: 3, count: 1 }, "0.0.0");
  await expect(reproducePicture(png, "a.png", "0.0.0")).rejects.toMatchObject({
    code: "MODEL_NOT_FOUND",
    path: "mine.safetensors",
    hint: expect.stringContaining("--model"),
  });
  expect((await reproducePicture(png, "a.png", "0.0.0", { modelName: file })).png).toEqual(png);
}, 60_000);
