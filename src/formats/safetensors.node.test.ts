import { execFileSync } from "node:child_process";
import { appendFile, mkdtemp, open, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { blobSource, bytesSource } from "./byteSource.ts";
import { type HostTensor, hostTensor } from "./hostTensor.ts";
import { openFile } from "./openFile.node.ts";
import { openSafetensors } from "./safetensors.node.ts";
import { writeSafetensors } from "./safetensors.ts";
import { codeOf } from "./testing/hostile.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nextx-formats-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const sample = new Map<string, HostTensor>([
  ["w", hostTensor("F32", [2], Float32Array.of(1, 2))],
  ["n", hostTensor("I64", [], BigInt64Array.of(7n))],
  ["z", hostTensor("U8", [0], new Uint8Array(0))],
]);

async function sampleFile(name: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, writeSafetensors(sample, { a: "b" }));
  return path;
}

test("reads single tensors of a file", async () => {
  const file = await openSafetensors(await sampleFile("plain.safetensors"));
  expect(file.metadata.get("a")).toBe("b");
  expect([...file.tensors.keys()].sort()).toEqual(["n", "w", "z"]);
  for (const [name, tensor] of sample) expect(await file.read(name)).toEqual(tensor);
  expect(await codeOf(() => file.read("none"))).toBe("SAFETENSORS_NO_TENSOR");
  await file.close();
});

test("tensors beyond 4 GiB, in a sparse file of 1 TiB", async () => {
  const path = join(folder, "large.safetensors");
  const gap = 2 ** 40;
  const header = JSON.stringify({
    gap: { dtype: "U8", shape: [gap], data_offsets: [0, gap] },
    last: { dtype: "U8", shape: [3], data_offsets: [gap, gap + 3] },
  });
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(BigInt(header.length));
  const handle = await open(path, "w");
  await handle.write(Buffer.concat([start, Buffer.from(header)]), 0);
  await handle.write(Buffer.of(1, 2, 3), 0, 3, 8 + header.length + gap);
  await handle.close();
  const file = await openSafetensors(path);
  expect((await file.read("last")).data).toEqual(Uint8Array.of(1, 2, 3));
  expect(await codeOf(() => file.read("gap"))).toBe("FILE_TOO_LARGE");
  await file.close();
  await rm(path);
});

test("a file that grows or shrinks while it is read", async () => {
  const grown = await sampleFile("grown.safetensors");
  const first = await openSafetensors(grown);
  await appendFile(grown, "x");
  expect(await codeOf(() => first.read("w"))).toBe("FILE_CHANGED");
  await first.close();
  expect(await codeOf(() => openSafetensors(grown))).toBe("SAFETENSORS_TRAILING_BYTES");
  const second = await openSafetensors(await sampleFile("shrunk.safetensors"));
  await truncate(join(folder, "shrunk.safetensors"), 20);
  expect(await codeOf(() => second.read("w"))).toBe("FILE_CHANGED");
  await second.close();
});

test("what is no readable file", async () => {
  const empty = join(folder, "empty");
  await writeFile(empty, "");
  expect(await codeOf(() => openSafetensors(empty))).toBe("SAFETENSORS_HEADER_TOO_SMALL");
  expect(await codeOf(() => openSafetensors(folder))).toBe("FILE_NOT_REGULAR");
  expect(await codeOf(() => openSafetensors(join(folder, "none")))).toBe("FILE_NOT_FOUND");
  expect(await codeOf(() => openSafetensors("a\u0000b"))).toBe("FILE_IO");
});

test.skipIf(process.platform === "win32")("a pipe is refused without waiting", async () => {
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  expect(await codeOf(() => openSafetensors(pipe))).toBe("FILE_NOT_REGULAR");
});

test("a blob that can no longer be read", async () => {
  const gone = { size: 4, slice: () => ({ arrayBuffer: () => Promise.reject(new Error("gone")) }) };
  const source = blobSource(gone as unknown as Blob); // as browsers do when the file behind it changed
  expect(await codeOf(() => source.read(0, 4))).toBe("FILE_CHANGED");
});

test("ranges of files, arrays and blobs are checked", async () => {
  const path = await sampleFile("ranges.safetensors");
  const bytes = writeSafetensors(sample, { a: "b" });
  const file = await openFile(path);
  for (const source of [file, bytesSource(bytes), blobSource(new Blob([bytes as Uint8Array<ArrayBuffer>]))]) {
    expect(source.sizeBytes).toBe(bytes.length);
    expect(Buffer.from(await source.read(3, 9)).equals(bytes.subarray(3, 12))).toBe(true);
    for (const [offset, length] of [
      [-1, 2],
      [0, bytes.length + 1],
      [bytes.length, 1],
      [0.5, 1],
      [2 ** 53, 1],
    ] as const) {
      expect(await codeOf(() => source.read(offset, length))).toBe("FILE_TRUNCATED");
    }
  }
  await file.close();
});
