import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  checkedElementCount,
  dtypeBytes,
  dtypes,
  type HostTensor,
  hostTensor,
  viewTensor,
} from "./hostTensor.ts";
import { readNpy, writeNpy } from "./npy.ts";
import { codeOf, readDamaged } from "./testing/hostile.ts";
import { join } from "./testing/torchFile.ts";

const npyDTypes = dtypes.filter((dtype) => dtype !== "BF16");

test("what is written is read back", () => {
  const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });
  fc.assert(
    fc.property(fc.constantFrom(...npyDTypes), shapes, fc.nat(255), (dtype, shape, seed) => {
      const bytes = new Uint8Array((checkedElementCount(shape) ?? 0) * dtypeBytes(dtype));
      const tensor = viewTensor(
        dtype,
        shape,
        bytes.map((_, i) => (seed + 37 * i) & 255),
      );
      const written = writeNpy(tensor);
      expect((written.length - bytes.length) % 64).toBe(0);
      expect(readNpy(written)).toEqual(tensor);
    }),
  );
});

test("NumPy reads ours, we read NumPy's", ({ skip }) => {
  const tensors = npyDTypes.map((dtype) =>
    viewTensor(dtype, [2, 3], new Uint8Array(6 * dtypeBytes(dtype)).fill(1)),
  );
  const script = `
import sys, io, json
import numpy as np
out = []
for line in json.load(sys.stdin):
    a = np.load(io.BytesIO(bytes.fromhex(line)))
    b = io.BytesIO(); np.save(b, a); out.append(b.getvalue().hex())
for a in (np.float32(2.5), np.zeros((0, 3)), np.arange(5), np.asfortranarray(np.arange(6).reshape(2, 3)), np.array([1], ">f4"), np.array([{}]), np.zeros(2, [("a", "f4")]), np.array(["x"]), np.array([1j])):
    b = io.BytesIO(); np.save(b, a); out.append(b.getvalue().hex())
print(json.dumps(out))`;
  let out = "";
  try {
    const input = JSON.stringify(tensors.map((tensor) => Buffer.from(writeNpy(tensor)).toString("hex")));
    out = execFileSync("python3", ["-c", script], { input, encoding: "utf8", stdio: "pipe" });
  } catch {
    skip();
  }
  const files = (JSON.parse(out) as string[]).map((hex) => Buffer.from(hex, "hex"));
  for (const [i, tensor] of tensors.entries()) expect(readNpy(files[i] ?? join())).toEqual(tensor);
  const results = files.slice(tensors.length).map((file) => {
    try {
      return readNpy(file).shape;
    } catch (error) {
      return (error as { code?: string }).code;
    }
  });
  expect(results).toEqual([
    [],
    [0, 3],
    [5],
    "NPY_FORTRAN_ORDER",
    "NPY_BIG_ENDIAN",
    "NPY_OBJECTS",
    "NPY_UNSUPPORTED_DTYPE",
    "NPY_UNSUPPORTED_DTYPE",
    "NPY_UNSUPPORTED_DTYPE",
  ]);
});

const file = (header: string, data: Uint8Array = join(), version = 1) => {
  const length =
    version === 1
      ? [header.length & 255, header.length >> 8]
      : [header.length & 255, header.length >> 8, 0, 0];
  return join("\x93NUMPY", version, 0, ...length, header, data);
};
const header = (descr: string, shape: string, fortran = "False") =>
  `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`;

test.each<[string, Uint8Array, string]>([
  ["nothing", join(), "BAD_MAGIC"],
  ["version 9", file(header("'<f4'", "()"), join(), 9), "BAD_VERSION"],
  ["no version", join("\x93NUMPY"), "BAD_VERSION"],
  ["no length", join("\x93NUMPY", 1, 0, 5), "TRUNCATED"],
  ["header cut off", file(header("'<f4'", "()")).slice(0, 30), "TRUNCATED"],
  ["header of 4 GB", join("\x93NUMPY", 2, 0, 255, 255, 255, 255), "BAD_HEADER"],
  ["not a literal", file("__import__('os').system('id')\n"), "BAD_HEADER"],
  ["another order", file("{'shape': (), 'descr': '<f4', 'fortran_order': False, }\n"), "BAD_HEADER"],
  ["negative side", file(header("'<f4'", "(-1,)")), "BAD_HEADER"],
  ["fraction", file(header("'<f4'", "(1.5,)")), "BAD_HEADER"],
  ["objects", file(header("'|O'", "(1,)"), join("x")), "OBJECTS"],
  ["structured", file(header("[('a', '<f4')]", "(1,)"), new Uint8Array(4)), "UNSUPPORTED_DTYPE"],
  ["text", file(header("'<U1'", "(1,)"), new Uint8Array(4)), "UNSUPPORTED_DTYPE"],
  ["big-endian", file(header("'>f4'", "(1,)"), new Uint8Array(4)), "BIG_ENDIAN"],
  ["Fortran", file(header("'<f4'", "(1, 1)", "True"), new Uint8Array(4)), "FORTRAN_ORDER"],
  ["too large a shape", file(header("'<f4'", "(4294967296, 4294967296)")), "BAD_SHAPE"],
  ["65 axes", file(header("'<f4'", `(${"1, ".repeat(64)}1)`), new Uint8Array(4)), "BAD_SHAPE"],
  ["data missing", file(header("'<f4'", "(2,)"), new Uint8Array(7)), "SIZE_MISMATCH"],
  ["data behind", file(header("'<f4'", "(2,)"), new Uint8Array(9)), "SIZE_MISMATCH"],
])("refuses: %s", async (_, bytes, code) => {
  expect(await codeOf(() => readNpy(bytes))).toBe(`NPY_${code}`);
});

test("versions 2 and 3, Fortran order of one axis", () => {
  for (const version of [1, 2, 3]) {
    expect(readNpy(file(header("'|u1'", "(2,)", "True"), join(1, 2), version)).data).toEqual(
      Uint8Array.of(1, 2),
    );
  }
});

test("what cannot be written is refused", async () => {
  const half = hostTensor("BF16", [1], Uint16Array.of(1));
  const deep = hostTensor("U8", Array(65).fill(1), Uint8Array.of(1));
  const wrong = { dtype: "U8", shape: [3], data: Uint8Array.of(1) } as HostTensor;
  expect(await codeOf(() => writeNpy(half))).toBe("NPY_UNSUPPORTED_DTYPE");
  expect(await codeOf(() => writeNpy(deep))).toBe("NPY_BAD_SHAPE");
  expect(await codeOf(() => writeNpy(wrong))).toBe("NPY_BAD_SHAPE");
});

test("every damage to a small file", async () => {
  await readDamaged(writeNpy(hostTensor("I16", [2, 1], Int16Array.of(1, 2))), readNpy, /^NPY_/);
});
