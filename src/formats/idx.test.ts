import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { hostTensor } from "./hostTensor.ts";
import { readIdx } from "./idx.ts";
import { codeOf, readDamaged } from "./testing/hostile.ts";
import { join } from "./testing/torchFile.ts";

const labels = join(0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9);
const zipped = new Uint8Array(gzipSync(labels));
const refusal = (bytes: Uint8Array, maxBytes = 2 ** 20) => codeOf(() => readIdx(bytes, { maxBytes }));

test("bytes, plain and gzipped", () => {
  const expected = hostTensor("U8", [3], Uint8Array.of(7, 8, 9));
  expect(readIdx(labels)).toEqual(expected);
  expect(readIdx(zipped)).toEqual(expected);
  expect(readIdx(join(0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 5)).shape).toEqual([0, 5]);
});

test("other types are big-endian in the file", () => {
  const bytes = join(0, 0, 0x0d, 1, 0, 0, 0, 2, 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0);
  expect(readIdx(bytes)).toEqual(hostTensor("F32", [2], Float32Array.of(1, -2)));
  expect(bytes[8]).toBe(0x3f);
  expect(readIdx(join(0, 0, 0x0b, 1, 0, 0, 0, 1, 0xff, 0xfe)).data).toEqual(Int16Array.of(-2));
  expect(readIdx(join(0, 0, 0x09, 1, 0, 0, 0, 1, 0xff)).data).toEqual(Int8Array.of(-1));
});

test("larger than one piece", () => {
  const bytes = new Uint8Array(8 + 100_000);
  bytes.set([0, 0, 8, 1, 0, 1, 0x86, 0xa0]);
  for (let i = 8; i < bytes.length; i++) bytes[i] = (i * i * 31) >> 3;
  expect(readIdx(new Uint8Array(gzipSync(bytes))).data).toEqual(bytes.slice(8));
});

test.each<[string, Uint8Array, string]>([
  ["nothing", join(), "BAD_MAGIC"],
  ["magic", join(1, 0, 8, 1, 0, 0, 0, 0), "BAD_MAGIC"],
  ["type", join(0, 0, 7, 1, 0, 0, 0, 0), "BAD_MAGIC"],
  ["header cut off", join(0, 0, 8, 2, 0, 0, 0, 1), "BAD_MAGIC"],
  ["data missing", labels.slice(0, -1), "SIZE_MISMATCH"],
  ["data behind", join(labels, 0), "SIZE_MISMATCH"],
  ["product overflow", join(0, 0, 8, 3, new Uint8Array(12).fill(255)), "SIZE_MISMATCH"],
  ["gzip cut off", zipped.slice(0, -1), "BAD_GZIP"],
  ["gzip alone", join(0x1f, 0x8b), "BAD_GZIP"],
  ["gzip checksum", join(zipped.slice(0, -8), 0, zipped.slice(-7)), "BAD_GZIP"],
  ["a bomb", new Uint8Array(gzipSync(new Uint8Array(2 ** 24))), "TOO_LARGE"],
])("refuses: %s", async (_, bytes, code) => {
  expect(await refusal(bytes)).toBe(`IDX_${code}`);
});

test("every damage to a small file", async () => {
  await readDamaged(labels, (bytes) => readIdx(bytes), /^IDX_/);
  await readDamaged(zipped, (bytes) => readIdx(bytes), /^IDX_/);
});
