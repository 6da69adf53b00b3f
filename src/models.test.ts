/** Finding models by name, and those above 64 MiB: what is float32 stays in the file, the rest is read. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { hostTensor } from "./formats/hostTensor.ts";
import { modelMetadata } from "./formats/modelFile.ts";
import { writeSafetensorsFile } from "./formats/safetensors.node.ts";
import { findModel, findModelPlace, shippedModels } from "./models.node.ts";
import { isFileBacked } from "./runtime/values.ts";
import { imageSystems, systems } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "nextx-large-"));
const before = process.env.XDG_CACHE_HOME;
process.env.XDG_CACHE_HOME = join(folder, "cache");
afterAll(() => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
  rmSync(folder, { recursive: true, force: true });
});

it("says what a file is that is no model, and what to do with it", async () => {
  const pth = fileURLToPath(new URL("./formats/testing/fixtures/nested.pth", import.meta.url));
  for (const find of [findModel, findModelPlace])
    await expect(find(pth)).rejects.toMatchObject({
      code: "MODEL_NOT_NEXTX",
      hint: expect.stringContaining("nextx convert"),
    });
  const picture = fileURLToPath(new URL("../models/synth-32/samples.png", import.meta.url));
  await expect(findModel(picture)).rejects.toMatchObject({
    code: "MODEL_NOT_NEXTX",
    message: expect.stringContaining("PNG"),
  });
});

it("large files give the same numbers, hash and description as small ones", async () => {
  const path = join(folder, "large.safetensors");
  const count = 2 ** 24 + 3;
  const tensors = new Map([
    ["big", { dtype: "F32", shape: [count] } as const],
    ["half", { dtype: "F16", shape: [2] } as const],
  ]);
  const big = new Float32Array(count);
  big[count - 1] = 7;
  const read = async (name: string) =>
    name === "big" ? hostTensor("F32", [count], big) : hostTensor("F16", [2], Uint16Array.of(0x3c00, 0xc000)); // 1 and -2
  const description = { system: "var", config: {}, classNames: ["a"], imageSize: 8 };
  await writeSafetensorsFile(path, { tensors, read }, modelMetadata(description));
  const found = await findModel(path);
  const [large, half] = [found.weights.get("big"), found.weights.get("half")];
  expect(large && isFileBacked(large)).toBe(true);
  expect(large?.data[count - 1]).toBe(7);
  expect([...(half?.data ?? [])]).toEqual([1, -2]);
  expect(found.sha256).toBe(createHash("sha256").update(readFileSync(path)).digest("hex"));
  expect(found.description).toMatchObject(description);
}, 60_000);

/** The error of a name that leads nowhere. */
async function unknown(name: string): Promise<NextxError> {
  const error = await findModelPlace(name).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(NextxError);
  return error as NextxError; // just checked
}

it.each([...systems.keys()])("%s is a model that ships, or a hint at how to train one", async (id) => {
  const ships = shippedModels().some(({ card }) => card.system === id);
  if (imageSystems.has(id) && ships) {
    expect((await findModelPlace(id)).description.system).toBe(id);
    return;
  }
  const { code, message, hint } = await unknown(id);
  expect(code).toBe("MODEL_NOT_FOUND");
  expect(message).toMatch(/No model|makes no pictures/);
  expect(hint).toContain(`nextx train ${id}`);
  expect(hint).not.toContain(`"${id}"`);
});

it("suggests names that are near", async () => {
  expect((await unknown("synth-33")).hint).toBe('Did you mean "synth-32"?');
  expect((await unknown("xarr")).hint).toBe('Did you mean "xar"?');
});
