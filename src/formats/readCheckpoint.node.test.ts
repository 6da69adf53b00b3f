import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileKind } from "./fileKind.ts";
import { type HostTensor, hostTensor } from "./hostTensor.ts";
import { writeNpy } from "./npy.ts";
import { openPthFile } from "./pth.node.ts";
import { openCheckpoint, readCheckpoint } from "./readCheckpoint.node.ts";
import { writeSafetensors } from "./safetensors.ts";
import { codeOf } from "./testing/hostile.ts";
import { join, op, zip } from "./testing/torchFile.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(joinPath(tmpdir(), "nextx-formats-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const fixture = (name: string) => fileURLToPath(new URL(`./testing/fixtures/${name}`, import.meta.url));
const ones = hostTensor("F32", [2], Float32Array.of(1, 1));

async function write(name: string, bytes: Uint8Array): Promise<string> {
  const path = joinPath(folder, name);
  await writeFile(path, bytes);
  return path;
}

test("the content decides, not the name", async () => {
  const tensors = new Map<string, HostTensor>([["w", ones]]);
  const path = await write("named.pth", writeSafetensors(tensors, { a: "b" }));
  expect(await readCheckpoint(path)).toEqual(tensors);
  const checkpoint = await openCheckpoint(path, { key: "" });
  expect([checkpoint.format, checkpoint.metadata.get("a"), checkpoint.skipped]).toEqual([
    "safetensors",
    "b",
    [],
  ]);
  expect(await codeOf(() => readCheckpoint(path, { key: "model" }))).toBe("CHECKPOINT_NO_KEY");
});

test("PyTorch files of both forms", async () => {
  expect((await readCheckpoint(fixture("legacy.pth"))).size).toBe(3);
  const nested = await openCheckpoint(fixture("nested.pth"), { key: "trainer" });
  expect([nested.format, nested.tensors.size, nested.skipped]).toEqual([
    "pth",
    6,
    ["vae_local", "var_wo_ddp"],
  ]);
  expect(await codeOf(() => readCheckpoint(fixture("nested.pth")))).toBe("PTH_KEY_NEEDED");
  const file = await openPthFile(fixture("nested.pth"));
  expect((await file.stateDict("trainer").read("flag")).shape).toEqual([2]);
  await file.close();
});

test.each<[string, Uint8Array, RegExp]>([
  ["empty", join(), /empty/],
  ["PNG", join("\x89PNG\r\n\x1a\n", new Uint8Array(30)), /PNG/],
  ["JPEG", join("\xff\xd8\xff\xe0", new Uint8Array(30)), /JPEG/],
  ["HTML", join("\n<!DOCTYPE html><html>"), /web page/],
  ["XML error page", join('<?xml version="1.0"?><Error>'), /web page/],
  ["LFS", join("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"), /Git LFS/],
  ["GGUF", join("GGUF", 3, 0, 0, 0, new Uint8Array(30)), /GGUF/],
  ["JSON", join('{\n  "model": 1}'), /JSON/],
  ["npy", writeNpy(ones), /NumPy/],
  ["gzip", join("\x1f\x8b\x08", new Uint8Array(30)), /gzip/],
  ["text", join("hello there\n"), /text/],
  ["zeros behind a huge length", join(new Uint8Array(64).fill(7)), /unknown kind/],
])("says what a file is: %s", async (name, bytes, words) => {
  const path = await write(`${name}.safetensors`, bytes);
  await expect(readCheckpoint(path)).rejects.toThrow(
    expect.objectContaining({ code: "CHECKPOINT_WRONG_KIND", message: expect.stringMatching(words) }),
  );
});

test("folders, missing files, other archives and pickles", async () => {
  expect(await codeOf(() => readCheckpoint(folder))).toBe("CHECKPOINT_FOLDER");
  expect(await codeOf(() => readCheckpoint(joinPath(folder, "none")))).toBe("FILE_NOT_FOUND");
  const archive = await write("x.zip", zip([{ name: "a.txt", data: join("x") }]));
  const pickle = await write("x.pkl", op.pickle(op.int(1)));
  const cut = await write("cut.safetensors", writeSafetensors(new Map([["w", ones]])).slice(0, 30));
  expect(await codeOf(() => readCheckpoint(archive))).toBe("PTH_NOT_TORCH");
  expect(await codeOf(() => readCheckpoint(pickle))).toBe("PTH_NOT_TORCH");
  expect(await codeOf(() => openPthFile(pickle))).toBe("PTH_NOT_TORCH");
  expect(await codeOf(() => readCheckpoint(cut))).toBe("SAFETENSORS_HEADER_PAST_END");
});

test("kinds of short files", () => {
  for (const [text, kind] of [
    ["P", "other"],
    ["PK\x03\x04", "zip"],
    ["PK\x05\x06", "zip"],
    ["\x80", "other"],
    ["\x80\x02", "pickle"],
    ["\x80\x63", "other"],
  ] as const) {
    expect(fileKind(join(text)).kind).toBe(kind);
  }
});
