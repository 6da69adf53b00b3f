import fc from "fast-check";
import { expect, test } from "vitest";
import {
  checkedElementCount,
  dtypeBytes,
  dtypes,
  type HostTensor,
  hostTensor,
  tensorBytes,
  viewTensor,
} from "./hostTensor.ts";
import { readSafetensors, safetensorsParts, writeSafetensors } from "./safetensors.ts";
import { codeOf, readDamaged } from "./testing/hostile.ts";

/** A file from a header's text, with `dataBytes` bytes 1, 2, 3, ... behind it. */
function file(header: string | Uint8Array, dataBytes = 0, claimed?: bigint): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true);
  bytes.set(json, 8);
  for (let i = 0; i < dataBytes; i++) bytes[8 + json.length + i] = i + 1;
  return bytes;
}

const entry = (dtype: string, shape: string, start: number | string, end: number | string) =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${start},${end}]}`;
const refusal = (bytes: Uint8Array) => codeOf(() => readSafetensors(bytes));

const hostTensors = fc
  .tuple(fc.constantFrom(...dtypes), fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }), fc.nat(255))
  .map(([dtype, shape, seed]) => {
    const bytes = new Uint8Array((checkedElementCount(shape) ?? 0) * dtypeBytes(dtype));
    return viewTensor(
      dtype,
      shape,
      bytes.map((_, i) => (seed + 37 * i) & 255),
    );
  });
const names = fc.string({ maxLength: 12, unit: "binary" }).filter((name) => name !== "__metadata__");
const records = fc
  .array(fc.tuple(names, hostTensors), { maxLength: 8 })
  .map((pairs) => new Map<string, HostTensor>(pairs));

test("what is written is read back, aligned, in the same bytes whatever the order", () => {
  const metadata = fc.dictionary(names, names, { maxKeys: 3 });
  fc.assert(
    fc.property(records, metadata, (tensors, meta) => {
      const bytes = writeSafetensors(tensors, new Map(Object.entries(meta)));
      const read = readSafetensors(bytes);
      expect(new Map(read.metadata)).toEqual(new Map(Object.entries(meta)));
      expect([...read.tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
      for (const [name, tensor] of tensors) {
        const { dtype, shape, data } = read.tensors.get(name) as HostTensor; // same names
        expect([dtype, shape]).toEqual([tensor.dtype, tensor.shape]);
        expect(tensorBytes(read.tensors.get(name) as HostTensor)).toEqual(tensorBytes(tensor));
        expect(data.buffer).toBe(bytes.buffer);
      }
      expect(writeSafetensors(new Map([...tensors].reverse()), meta)).toEqual(bytes);
      expect(Buffer.concat([...safetensorsParts(tensors, meta)]).equals(bytes)).toBe(true);
    }),
  );
});

test("the bytes of a small file", () => {
  const tensors = new Map<string, HostTensor>([
    ["b", hostTensor("U8", [3], Uint8Array.of(1, 2, 3))],
    ["a", hostTensor("U8", [1], Uint8Array.of(9))],
    ["c", hostTensor("F32", [], Float32Array.of(1))],
  ]);
  const bytes = writeSafetensors(tensors, { z: "1", y: "\u00e9" });
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  expect(length % 8).toBe(0);
  expect(new TextDecoder().decode(bytes.subarray(8, 8 + length)).trimEnd()).toBe(
    `{"__metadata__":{"y":"\u00e9","z":"1"},"a":${entry("U8", "[1]", 4, 5)},"b":${entry("U8", "[3]", 5, 8)},"c":${entry("F32", "[]", 0, 4)}}`,
  );
  expect([...bytes.subarray(8 + length)]).toEqual([0, 0, 128, 63, 9, 1, 2, 3]);
});

test("an empty file of no tensors", () => {
  expect(readSafetensors(writeSafetensors(new Map())).tensors.size).toBe(0);
  expect(readSafetensors(file("{}")).metadata.size).toBe(0);
});

test("floats can be stored smaller; integers and booleans stay", () => {
  const tensors = new Map<string, HostTensor>([
    ["f", hostTensor("F32", [2], Float32Array.of(1, 1 / 3))],
    ["i", hostTensor("I64", [1], BigInt64Array.of(5n))],
    ["m", hostTensor("BOOL", [1], Uint8Array.of(1))],
  ]);
  const read = readSafetensors(writeSafetensors(tensors, {}, { dtype: "F16" })).tensors;
  expect(read.get("f")).toEqual(hostTensor("F16", [2], Uint16Array.of(0x3c00, 0x3555)));
  expect(read.get("i")).toEqual(tensors.get("i"));
  expect(read.get("m")).toEqual(tensors.get("m"));
});

test.each<[string, Uint8Array, string]>([
  // Rules 1 to 3: length.
  ["nothing", new Uint8Array(0), "HEADER_TOO_SMALL"],
  ["7 bytes", new Uint8Array(7), "HEADER_TOO_SMALL"],
  ["2^63", file("{}", 0, 2n ** 63n), "HEADER_TOO_LARGE"],
  ["2^64 - 1", file("{}", 0, 2n ** 64n - 1n), "HEADER_TOO_LARGE"],
  ["100 MB + 1", file("{}", 0, 100_000_001n), "HEADER_TOO_LARGE"],
  ["100 MB in a small file", file("{}", 0, 100_000_000n), "HEADER_PAST_END"],
  ["one byte past the end", file("{}", 0, 3n), "HEADER_PAST_END"],
  // Rule 4: text and types.
  ["length 0", file(""), "HEADER_BAD_JSON"],
  ["not UTF-8", file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a)), "HEADER_NOT_UTF8"],
  ["byte order mark", file("\ufeff{}"), "HEADER_BAD_JSON"],
  ["an array", file("[]"), "HEADER_BAD_JSON"],
  ["depth", file(`{"a":${"[".repeat(100_000)}`), "HEADER_BAD_JSON"],
  ["text behind", file("{}x"), "HEADER_BAD_JSON"],
  [
    "duplicate names",
    file(`{"a":${entry("U8", "[1]", 0, 1)},"a":${entry("U8", "[1]", 1, 2)}}`, 2),
    "DUPLICATE_NAME",
  ],
  [
    "duplicate keys inside",
    file('{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
    "DUPLICATE_NAME",
  ],
  ["metadata number", file('{"__metadata__":{"a":1}}'), "BAD_METADATA"],
  ["metadata null", file('{"__metadata__":{"a":null}}'), "BAD_METADATA"],
  ["metadata nested", file('{"__metadata__":{"a":{}}}'), "BAD_METADATA"],
  ["metadata no object", file('{"__metadata__":null}'), "BAD_METADATA"],
  ["entry no object", file('{"a":[]}'), "BAD_ENTRY"],
  ["entry without dtype", file('{"a":{"shape":[1],"data_offsets":[0,1]}}', 1), "BAD_ENTRY"],
  ["dtype a number", file('{"a":{"dtype":1,"shape":[1],"data_offsets":[0,1]}}', 1), "BAD_ENTRY"],
  ["unknown key", file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}', 1), "BAD_ENTRY"],
  ["shape a number", file(`{"a":${entry("U8", "1", 0, 1)}}`, 1), "BAD_ENTRY"],
  ["shape negative", file(`{"a":${entry("U8", "[-1]", 0, 1)}}`, 1), "BAD_ENTRY"],
  ["shape 1.0", file(`{"a":${entry("U8", "[1.0]", 0, 1)}}`, 1), "BAD_ENTRY"],
  ["shape 1e0", file(`{"a":${entry("U8", "[1e0]", 0, 1)}}`, 1), "BAD_ENTRY"],
  ["shape -0", file(`{"a":${entry("U8", "[-0]", 0, 0)}}`), "BAD_ENTRY"],
  ["shape 2^53 + 1", file(`{"a":${entry("U8", "[9007199254740993]", 0, 1)}}`, 1), "BAD_ENTRY"],
  ["offsets of text", file(`{"a":${entry("U8", "[1]", '"0"', 1)}}`, 1), "BAD_ENTRY"],
  ["offsets negative", file(`{"a":${entry("U8", "[1]", -1, 0)}}`, 1), "BAD_ENTRY"],
  ["three offsets", file(`{"a":${entry("U8", "[1]", 0, "1,1")}}`, 1), "BAD_ENTRY"],
  ["unknown dtype", file(`{"a":${entry("F128", "[1]", 0, 16)}}`, 16), "UNSUPPORTED_DTYPE"],
  ["prototype dtype", file(`{"a":${entry("constructor", "[1]", 0, 16)}}`, 16), "UNSUPPORTED_DTYPE"],
  ["sub-byte dtype", file(`{"a":${entry("F4", "[2]", 0, 1)}}`, 1), "UNSUPPORTED_DTYPE"],
  // Rule 5: offsets.
  ["offsets reversed", file(`{"a":${entry("U8", "[1]", 1, 0)}}`, 1), "BAD_OFFSETS"],
  ["hole at the start", file(`{"a":${entry("U8", "[1]", 1, 2)}}`, 2), "BAD_OFFSETS"],
  ["hole", file(`{"a":${entry("U8", "[1]", 0, 1)},"b":${entry("U8", "[1]", 2, 3)}}`, 3), "BAD_OFFSETS"],
  ["overlap", file(`{"a":${entry("U8", "[2]", 0, 2)},"b":${entry("U8", "[2]", 1, 3)}}`, 3), "BAD_OFFSETS"],
  [
    "the same bytes twice",
    file(`{"a":${entry("U8", "[2]", 0, 2)},"b":${entry("U8", "[2]", 0, 2)}}`, 2),
    "BAD_OFFSETS",
  ],
  // Rules 6 and 7: sizes.
  ["product", file(`{"a":${entry("U8", "[4294967296,4294967296]", 0, 1)}}`, 1), "SHAPE_OVERFLOW"],
  ["product to 2^64", file(`{"a":${entry("U8", "[4294967296,4294967296,0]", 0, 0)}}`), "SHAPE_OVERFLOW"],
  ["bytes", file(`{"a":${entry("F64", "[9007199254740991]", 0, 1)}}`, 1), "SHAPE_OVERFLOW"],
  ["too few bytes", file(`{"a":${entry("F32", "[2]", 0, 4)}}`, 4), "SIZE_MISMATCH"],
  ["rank 64", file(`{"a":${entry("U8", `[${"2,".repeat(63)}2]`, 0, 4)}}`, 4), "SHAPE_OVERFLOW"],
  ["rank 65", file(`{"a":${entry("U8", `[${"1,".repeat(64)}1]`, 0, 1)}}`, 1), "BAD_ENTRY"],
  ["rank 4 million", file(`{"a":${entry("U8", `[${"1,".repeat(3_999_999)}1]`, 0, 1)}}`, 1), "BAD_ENTRY"],
  ["numbers without end", file(`{"a":[${"[1,1,1,1],".repeat(400_000)}1]}`), "BAD_ENTRY"],
  [
    "more numbers than tensors have",
    file(
      `{${Array.from({ length: 30_000 }, (_, i) => `"${i}":${entry("U8", `[${"1,".repeat(63)}1]`, 0, 1)}`)}}`,
    ),
    "TOO_MANY_TENSORS",
  ],
  // Rule 8: the end.
  ["past the end", file(`{"a":${entry("U8", "[4]", 0, 4)}}`, 3), "TRUNCATED"],
  ["trailing bytes", file(`{"a":${entry("U8", "[4]", 0, 4)}}`, 5), "TRAILING_BYTES"],
])("refuses: %s", async (_, bytes, code) => {
  expect(await refusal(bytes)).toBe(`SAFETENSORS_${code}`);
});

test("names are only names: prototype, empty, long, not normalised", () => {
  const names = ["__proto__", "", "constructor", "x".repeat(1_000_000), "e\u0301", "\u00e9", "a\u0000b"];
  const tensors = new Map(names.map((name, i) => [name, hostTensor("U8", [1], Uint8Array.of(i))]));
  const read = readSafetensors(writeSafetensors(tensors)).tensors;
  for (const [i, name] of names.entries()) expect(read.get(name)?.data[0]).toBe(i);
  expect(({} as { dtype?: string }).dtype).toBeUndefined();
});

test("accepts white space before the header and inside it", () => {
  const read = readSafetensors(file(` \n{ "a" : ${entry("U8", "[ 1 ]", 0, 1)} }  `, 1));
  expect(read.tensors.get("a")?.data).toEqual(Uint8Array.of(1));
});

test("rank 64 and zero sides; more axes are not written", async () => {
  const read = readSafetensors(
    file(`{"a":${entry("U8", `[${"1,".repeat(63)}1]`, 0, 1)},"z":${entry("F32", "[0,5]", 1, 1)}}`, 1),
  );
  expect(read.tensors.get("a")?.shape.length).toBe(64);
  const tooMany = new Map([["a", hostTensor("U8", Array(65).fill(1), Uint8Array.of(1))]]);
  expect(await codeOf(() => writeSafetensors(tooMany))).toBe("TENSOR_BAD_SHAPE");
  expect(read.tensors.get("z")?.shape).toEqual([0, 5]);
});

test("more than 100,000 tensors are refused", async () => {
  const item = `:${entry("U8", "[0]", 0, 0)}`;
  const header = `{${Array.from({ length: 100_002 }, (_, i) => `"t${i}"${item}`).join(",")}}`;
  expect(await refusal(file(header))).toBe("SAFETENSORS_TOO_MANY_TENSORS");
});

test("what cannot be written is refused", async () => {
  const one = hostTensor("U8", [1], Uint8Array.of(1));
  const big = hostTensor("F32", [1], Float32Array.of(1e6));
  const write = (name: string, tensor: HostTensor) =>
    codeOf(() => writeSafetensors(new Map([[name, tensor]]), {}, { dtype: "F16" }));
  expect(await write("__metadata__", one)).toBe("SAFETENSORS_BAD_NAME");
  expect(await write("\ud800", one)).toBe("SAFETENSORS_BAD_NAME");
  expect(await write("a", { ...one, shape: [2] } as HostTensor)).toBe("TENSOR_SIZE_MISMATCH");
  expect(await write("a", { ...one, shape: [-1] } as HostTensor)).toBe("TENSOR_BAD_SHAPE");
  expect(await write("a", { ...one, dtype: "F32" } as HostTensor)).toBe("TENSOR_BAD_DATA");
  expect(await write("a", big)).toBe("TENSOR_FLOAT_RANGE");
  const metadata = { a: 1 } as unknown as Record<string, string>;
  expect(await codeOf(() => writeSafetensors(new Map(), metadata))).toBe("SAFETENSORS_BAD_METADATA");
  const long = new Map([["k", "x".repeat(100_000_001)]]);
  expect(await codeOf(() => writeSafetensors(new Map(), long))).toBe("SAFETENSORS_HEADER_TOO_LARGE");
  const many = new Map(Array.from({ length: 100_001 }, (_, i) => [`${i}`, one]));
  expect(await codeOf(() => writeSafetensors(many))).toBe("SAFETENSORS_TOO_MANY_TENSORS");
});

test("every truncation and flipped bit is refused with a code or read", async () => {
  const tensors = new Map<string, HostTensor>([
    ["weight", hostTensor("F32", [2, 1], Float32Array.of(1, 2))],
    ["b", hostTensor("U8", [3], Uint8Array.of(1, 2, 3))],
  ]);
  const counts = await readDamaged(
    writeSafetensors(tensors, { format: "pt" }),
    (bytes) => readSafetensors(bytes),
    /^SAFETENSORS_/,
  );
  expect(counts.size).toBeGreaterThan(8);
});

test("random edits of a header never give another exception", async () => {
  const base = `{"a":${entry("U8", "[2,1]", 0, 2)},"__metadata__":{"k":"v"}}`;
  await fc.assert(
    fc.asyncProperty(fc.nat(base.length), fc.nat(6), fc.string({ maxLength: 6 }), async (at, cut, text) => {
      const code = await refusal(file(base.slice(0, at) + text + base.slice(at + cut), 2));
      expect(code).toMatch(/^(ok|SAFETENSORS_\w+)$/);
    }),
    { numRuns: 2000 },
  );
});
