/** Pictures of models that do not ship: their recipe names no folder, so whoever makes them again must. */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { encodePng } from "./formats/png.ts";
import { load } from "./load.node.ts";
import { shippedModels } from "./models.node.ts";
import { editSource, reproducePicture } from "./picture.node.ts";
import { readPictureRecipe, samplePicture } from "./picture.ts";

const folder = mkdtempSync(join(tmpdir(), "nextx-picture-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("a picture of a copied model is the same again, whatever the copy was called", async () => {
  const file = join(folder, "mine.safetensors");
  const [shipped] = shippedModels();
  copyFileSync(shipped?.path ?? "", file);
  using model = await load(file);
  const { png } = await samplePicture(model, { seed: 3, count: 1 }, "0.0.0");
  expect((await reproducePicture(png, "a.png", "0.0.0")).png).toEqual(png);
  for (const modelName of [file, shipped?.name ?? ""])
    expect((await reproducePicture(png, "a.png", "0.0.0", { modelName })).png).toEqual(png);
}, 60_000);

it("a grid of several pictures is no source of an edit", async () => {
  using model = await load("synth-32");
  const grid = await samplePicture(model, { seed: 3, count: 2, class: 1 }, "0.0.0");
  await expect(editSource(grid.png, "a.png", 32)).rejects.toMatchObject({ code: "EDIT_BAD_PICTURE" });
  const one = await samplePicture(model, { seed: 3, class: 1 }, "0.0.0");
  expect(await editSource(one.png, "a.png", 32)).toEqual(one.image.pixels);
}, 60_000);

describe("a recipe of a stranger", () => {
  const [shipped] = shippedModels();
  const made = (change: object) =>
    encodePng(
      { width: 1, height: 1, pixels: new Uint8Array(3) },
      {
        recipe: {
          ...{ nextx: "sample", version: 1, model: shipped?.name, sha256: shipped?.card.sha256 },
          ...{ labels: [0], seed: 0, settings: {}, grid: { columns: 1, scale: 1 } },
          ...{ made: { nextx: "0.0.0", runtime: "x" }, ...change },
        },
      },
    );

  it.each(["onPreview", "signal", "edit", "class", "count", "columns"])(
    "may not set %s in a system's settings",
    async (name) => {
      const wanted = { code: "CONFIG_UNKNOWN_KEY", path: `a.png.settings.${name}` };
      const png = made({ settings: { [name]: 1 } });
      expect(() => readPictureRecipe(png, "a.png")).toThrow(expect.objectContaining(wanted));
      await expect(reproducePicture(png, "a.png", "0.0.0")).rejects.toMatchObject(wanted);
    },
  );

  it("names no file: only what ships is opened without --model", async () => {
    for (const model of [shipped?.path ?? "", folder, "/etc/hostname"]) {
      const png = made({ model, sha256: "0".repeat(64) });
      await expect(reproducePicture(png, "a.png", "0.0.0")).rejects.toMatchObject({
        code: "MODEL_NOT_FOUND",
        path: model,
        hint: expect.stringContaining("--model"),
      });
    }
  });

  it("with a grid that no PNG takes is refused", async () => {
    const png = made({ grid: { columns: 10_000, scale: 64 } });
    await expect(reproducePicture(png, "a.png", "0.0.0")).rejects.toMatchObject({
      code: "SAMPLING_BAD_OPTION",
      path: "columns",
    });
  });
});

it("a grid that no PNG takes is refused before sampling", async () => {
  using model = await load(shippedModels()[0]?.name ?? "");
  const sample = vi.spyOn(model, "sample");
  await expect(samplePicture(model, { columns: 1000, scale: 64 }, "0.0.0")).rejects.toMatchObject({
    code: "SAMPLING_BAD_OPTION",
    path: "columns",
  });
  expect(sample).not.toHaveBeenCalled();
});
