import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { bytesSource } from "./byteSource.ts";
import { type HostTensor, hostTensor } from "./hostTensor.ts";
import { writeNpy } from "./npy.ts";
import { openNpz } from "./npz.ts";
import { codeOf, readDamaged } from "./testing/hostile.ts";
import { join, packed, type ZipPart, zip } from "./testing/torchFile.ts";

const folder = mkdtempSync(joinPath(tmpdir(), "nextx-npz-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const read = async (bytes: Uint8Array) => (await openNpz(bytesSource(bytes))).readAll();
const refusal = (bytes: Uint8Array) => codeOf(() => read(bytes));

const a = hostTensor("F32", [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));
const b = hostTensor("I64", [2], BigInt64Array.of(-1n, 7n));
const part = (name: string, tensor: HostTensor): ZipPart => ({ name: `${name}.npy`, data: writeNpy(tensor) });

test("arrays by name, stored and deflated", async () => {
  const bytes = zip([part("a", a), packed("b/c.npy", writeNpy(b))]);
  const dict = await openNpz(bytesSource(bytes));
  expect([...dict.tensors]).toEqual([
    ["a", { dtype: "F32", shape: [2, 3] }],
    ["b/c", { dtype: "I64", shape: [2] }],
  ]);
  expect(await dict.readAll()).toEqual(
    new Map<string, HostTensor>([
      ["a", a],
      ["b/c", b],
    ]),
  );
  expect(await codeOf(() => dict.read("c"))).toBe("NPZ_NO_TENSOR");
});

test("thousands of small arrays cost few reads of the file", async () => {
  const bytes = zip(Array.from({ length: 2_000 }, (_, i) => part(`a${i}`, a)));
  const [source, offsets] = [bytesSource(bytes), [] as number[]];
  const counted = {
    ...source,
    read: (offset: number, length: number) => {
      offsets.push(offset);
      return source.read(offset, length);
    },
  };
  const { tensors, read } = await openNpz(counted);
  expect(tensors.size).toBe(2_000);
  expect(offsets.length).toBeLessThan(bytes.length / 2 ** 15);
  expect(await read("a1999")).toEqual(a);
});

const numpy = spawnSync("python3", ["-c", "import numpy"]).status === 0;
describe.skipIf(!numpy)("what NumPy writes", () => {
  test.each(["savez", "savez_compressed"])("%s", async (save) => {
    const path = joinPath(folder, `${save}.npz`);
    const script = `import numpy as n; n.${save}("${path}", w=n.arange(100000, dtype=n.float32) % 1009, i=n.arange(3), s=n.float64(2.5), h=n.zeros((2, 0), n.float16), b=n.array([True, False]))`;
    expect(spawnSync("python3", ["-c", script]).status).toBe(0);
    const tensors = await read(readFileSync(path));
    expect([...tensors.keys()].sort()).toEqual(["b", "h", "i", "s", "w"]);
    expect(tensors.get("w")).toEqual(
      hostTensor(
        "F32",
        [100000],
        Float32Array.from({ length: 100000 }, (_, i) => i % 1009),
      ),
    );
    expect(tensors.get("i")).toEqual(hostTensor("I64", [3], BigInt64Array.of(0n, 1n, 2n)));
    expect(tensors.get("s")).toEqual(hostTensor("F64", [], Float64Array.of(2.5)));
    expect(tensors.get("h")?.shape).toEqual([2, 0]);
    expect(tensors.get("b")).toEqual(hostTensor("BOOL", [2], Uint8Array.of(1, 0)));
  });
});

const npy = (text: string, data = new Uint8Array(8)) =>
  join("\x93NUMPY\x01\x00", text.length % 256, text.length >> 8, text, data);
const header = (descr: string, shape = "(2,)", fortran = "False") =>
  `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`;
const zeros = new Uint8Array(2 ** 22);

describe("hostile archives", () => {
  test.each<[string, Uint8Array, string]>([
    ["empty archive", zip([]), "NPZ_NOT_ARRAYS"],
    ["other entries", zip([part("a", a), { name: "x.txt", data: join("x") }]), "NPZ_NOT_ARRAYS"],
    ["an array of objects", zip([{ name: "o.npy", data: npy(header("'|O'")) }]), "NPY_OBJECTS"],
    ["structured", zip([{ name: "o.npy", data: npy(header("[('a', '<f4')]")) }]), "NPY_UNSUPPORTED_DTYPE"],
    ["big-endian", zip([{ name: "o.npy", data: npy(header("'>f4'")) }]), "NPY_BIG_ENDIAN"],
    [
      "Fortran order",
      zip([{ name: "o.npy", data: npy(header("'<f4'", "(1, 2)", "True")) }]),
      "NPY_FORTRAN_ORDER",
    ],
    [
      "code as header",
      zip([{ name: "o.npy", data: npy("__import__('os').system('x')\n") }]),
      "NPY_BAD_HEADER",
    ],
    [
      "more elements than bytes",
      zip([{ name: "o.npy", data: npy(header("'<f4'", "(3,)")) }]),
      "NPY_SIZE_MISMATCH",
    ],
    [
      "shape beyond 2^53",
      zip([{ name: "o.npy", data: npy(header("'<f4'", "(9007199254740992, 9)")) }]),
      "NPY_BAD_SHAPE",
    ],
    ["version 9", zip([{ name: "o.npy", data: join("\x93NUMPY\x09\x00", 0, 0) }]), "NPY_BAD_VERSION"],
    ["no array", zip([{ name: "o.npy", data: join("hello") }]), "NPY_BAD_MAGIC"],
    ["an escaping name", zip([{ name: "../a.npy", data: writeNpy(a) }]), "ZIP_BAD_NAME"],
    ["one name twice", zip([part("a", a), part("a", a)]), "ZIP_BAD_NAME"],
    ["encrypted", zip([{ ...part("a", a), flags: 1 }]), "ZIP_ENCRYPTED"],
    ["an unknown method", zip([{ ...part("a", a), method: 12 }]), "ZIP_COMPRESSED"],
    ["a wrong checksum", zip([{ ...part("a", a), crc: 1 }]), "ZIP_CRC"],
    ["no deflate stream", zip([{ ...part("a", a), method: 8 }]), "NPY_BAD_MAGIC"],
    ["a bomb that says so", zip([packed("a.npy", zeros)]), "NPZ_TOO_LARGE"],
    ["a bomb that lies", zip([packed("a.npy", zeros, 200)]), "ZIP_DAMAGED"],
    ["packed data that end early", zip([packed("a.npy", writeNpy(a), 1000)]), "NPY_SIZE_MISMATCH"],
  ])("%s", async (_, bytes, code) => {
    expect(await refusal(bytes)).toBe(code);
  });

  test("a bomb is refused at once", async () => {
    const bomb = zip([packed("a.npy", new Uint8Array(2 ** 26))]);
    const start = performance.now();
    expect(await refusal(bomb)).toBe("NPZ_TOO_LARGE");
    expect(performance.now() - start).toBeLessThan(250);
  });

  test("every damage to a small archive", async () => {
    const bytes = zip([part("a", a), packed("b.npy", writeNpy(b))]);
    const counts = await readDamaged(bytes, read, /^(NPZ_|NPY_|ZIP_|FILE_TRUNCATED)/);
    expect(counts.get("ok") ?? 0).toBeLessThan(500); // versions, times and attributes in headers mean nothing
    expect(counts.get("ZIP_CRC")).toBeGreaterThan(100);
  }, 60_000);
});
