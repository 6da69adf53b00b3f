/** Models above 64 MiB: what is float32 stays in the file, the rest is read. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { hostTensor } from "./formats/hostTensor.ts";
import { modelMetadata } from "./formats/modelFile.ts";
import { writeSafetensorsFile } from "./formats/safetensors.node.ts";
import { findModel } from "./models.node.ts";
import { isFileBacked } from "./runtime/values.ts";

const folder = mkdtempSync(join(tmpdir(), "nextx-large-"));
const before = process.env.XDG_CACHE_HOME;
process.env.XDG_CACHE_HOME = join(folder, "cache");
afterAll(() => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
  rmSync(folder, { recursive: true, force: true });
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
