import fc from "fast-check";
import { expect, test } from "vitest";
import { bools, floats, ints } from "../runtime/values.ts";
import {
  bfloat16BitsToFloat32,
  checkedElementCount,
  convertFloats,
  dtypeBytes,
  dtypes,
  float16BitsToFloat32,
  float32ToBfloat16Bits,
  float32ToFloat16Bits,
  type HostTensor,
  hostTensor,
  tensorBytes,
  toFloat32,
  toInt32,
  viewTensor,
} from "./hostTensor.ts";
import { fromValue, toValue } from "./tensorValue.ts";

const halves = Uint16Array.from({ length: 65536 }, (_, i) => i);
const isNaNHalf = (bits: number) => (bits & 0x7fff) > 0x7c00;

test("every half survives the way through float32", () => {
  const back = float32ToFloat16Bits(float16BitsToFloat32(halves));
  for (const half of halves) {
    const expected = isNaNHalf(half) ? half | 0x200 : half; // NaN becomes quiet
    if (back[half] !== expected) expect.fail(`${half} became ${back[half]}`);
  }
});

test("halves round to nearest, ties to even", () => {
  const values = float16BitsToFloat32(halves);
  // Between each half and the next: below, at and above the midpoint.
  for (let bits = 0; bits < 0x7bff; bits++) {
    const [low, high] = [values[bits] as number, values[bits + 1] as number];
    const middle = (low + high) / 2; // exact in float32
    const even = bits % 2 === 0 ? bits : bits + 1;
    const step = 2 ** -40 * Math.max(middle, 2 ** -24) * 2 ** 16;
    const got = float32ToFloat16Bits(Float32Array.of(middle, middle - step, middle + step, -middle));
    const expected = [even, bits, bits + 1, even | 0x8000];
    if (String(got) !== String(expected)) expect.fail(`${middle}: ${got}, expected ${expected}`);
  }
});

test("special values of half precision", () => {
  const input = Float32Array.of(0, -0, 1, 65504, 65519, 65520, 1e9, -Infinity, 2 ** -24, 2 ** -25, 6e-8);
  expect([...float32ToFloat16Bits(input)]).toEqual([
    0, 0x8000, 0x3c00, 0x7bff, 0x7bff, 0x7c00, 0x7c00, 0xfc00, 1, 0, 1,
  ]);
  expect(float32ToFloat16Bits(Float32Array.of(Number.NaN))[0]).toBe(0x7e00);
});

test("every bfloat16 survives the way through float32; ties go to even", () => {
  const back = float32ToBfloat16Bits(bfloat16BitsToFloat32(halves));
  for (const half of halves) {
    const expected = (half & 0x7fff) > 0x7f80 ? half | 0x40 : half;
    if (back[half] !== expected) expect.fail(`${half} became ${back[half]}`);
  }
  const words = Uint32Array.of(0x3f808000, 0x3f818000, 0x3f808001, 0x7f7fffff);
  expect([...float32ToBfloat16Bits(new Float32Array(words.buffer))]).toEqual([
    0x3f80, 0x3f82, 0x3f81, 0x7f80,
  ]);
});

test("a view is shared where aligned, copied where not", () => {
  const buffer = new ArrayBuffer(17);
  const aligned = viewTensor("F32", [2], new Uint8Array(buffer, 4, 8));
  const shifted = viewTensor("F32", [2], new Uint8Array(buffer, 5, 8));
  const nodeBuffer = viewTensor("F64", [1], Buffer.from(buffer, 3, 8));
  expect(aligned.data.buffer).toBe(buffer);
  expect(shifted.data.buffer).not.toBe(buffer);
  expect(nodeBuffer.data.length).toBe(1);
});

test("zero-size and scalar tensors", () => {
  expect(viewTensor("I64", [], new Uint8Array(8)).data).toEqual(BigInt64Array.of(0n));
  expect(viewTensor("F32", [3, 0], new Uint8Array(0)).data.length).toBe(0);
  expect(checkedElementCount([])).toBe(1);
});

test.each([[[-1]], [[1.5]], [[Number.NaN]], [[2 ** 53]], [[2 ** 30, 2 ** 30]], [[2 ** 30, 2 ** 30, 0]]])(
  "the shape %j is refused",
  (shape) => {
    expect(() => viewTensor("U8", shape, new Uint8Array(0))).toThrow(
      expect.objectContaining({ code: "TENSOR_BAD_SHAPE" }),
    );
    expect(() => hostTensor("U8", shape, new Uint8Array(0))).toThrow(
      expect.objectContaining({ code: "TENSOR_BAD_SHAPE" }),
    );
  },
);

test("wrong sizes and arrays are refused", () => {
  const code = (run: () => unknown) => {
    try {
      return run();
    } catch (error) {
      return (error as { code?: string }).code;
    }
  };
  expect(code(() => viewTensor("F32", [2], new Uint8Array(7)))).toBe("TENSOR_SIZE_MISMATCH");
  expect(code(() => hostTensor("F32", [2], new Float32Array(3)))).toBe("TENSOR_SIZE_MISMATCH");
  expect(code(() => hostTensor("F32", [2], new Int32Array(2) as never))).toBe("TENSOR_BAD_DATA");
  expect(code(() => hostTensor("C64" as never, [2], new Int32Array(2) as never))).toBe("TENSOR_BAD_DATA");
});

test("integers come as int32 when they fit", () => {
  expect([...toInt32(hostTensor("I64", [2], BigInt64Array.of(-5n, 2n ** 31n - 1n)))]).toEqual([
    -5, 2147483647,
  ]);
  expect([...toInt32(hostTensor("U8", [2], Uint8Array.of(0, 255)))]).toEqual([0, 255]);
  expect([...toInt32(hostTensor("BOOL", [2], Uint8Array.of(0, 7)))]).toEqual([0, 1]);
  for (const big of [2n ** 31n, -(2n ** 31n) - 1n, 2n ** 62n + 1n]) {
    expect(() => toInt32(hostTensor("I64", [1], BigInt64Array.of(big)))).toThrow(
      expect.objectContaining({ code: "TENSOR_INT_RANGE" }),
    );
  }
  expect(() => toInt32(hostTensor("U32", [1], Uint32Array.of(2 ** 31)))).toThrow(
    expect.objectContaining({ code: "TENSOR_INT_RANGE" }),
  );
  expect(() => toInt32(hostTensor("F32", [1], Float32Array.of(1)))).toThrow(
    expect.objectContaining({ code: "TENSOR_NOT_INTEGER" }),
  );
});

test("any dtype converts to float32", () => {
  for (const dtype of dtypes) {
    const zero = viewTensor(dtype, [2], new Uint8Array(2 * dtypeBytes(dtype)));
    expect(toFloat32(zero)).toEqual(new Float32Array(2));
  }
  expect([...toFloat32(hostTensor("F64", [2], Float64Array.of(0.1, 1e300)))]).toEqual([
    Math.fround(0.1),
    Infinity,
  ]);
  expect([...toFloat32(hostTensor("U64", [1], BigUint64Array.of(2n ** 64n - 1n)))]).toEqual([2 ** 64]);
});

test("narrower floats refuse finite values beyond their range, keep infinities and NaN", () => {
  const odd = hostTensor("F32", [3], Float32Array.of(Infinity, -Infinity, Number.NaN));
  expect([...toFloat32(convertFloats(odd, "F16"))]).toEqual([Infinity, -Infinity, Number.NaN]);
  expect([...toFloat32(convertFloats(odd, "BF16"))]).toEqual([Infinity, -Infinity, Number.NaN]);
  const refused: [HostTensor, "F32" | "F16" | "BF16"][] = [
    [hostTensor("F32", [2], Float32Array.of(1, -65520)), "F16"],
    [hostTensor("BF16", [1], Uint16Array.of(0x7f7f)), "F16"],
    [hostTensor("F32", [1], Float32Array.of(3.4e38)), "BF16"],
    [hostTensor("F64", [1], Float64Array.of(1e39)), "F32"],
    [hostTensor("F64", [1], Float64Array.of(-1e39)), "F16"],
  ];
  for (const [tensor, dtype] of refused) {
    expect(() => convertFloats(tensor, dtype)).toThrow(
      expect.objectContaining({ code: "TENSOR_FLOAT_RANGE" }),
    );
  }
  const whole = hostTensor("I32", [1], Int32Array.of(1));
  expect(convertFloats(whole, "F16")).toBe(whole);
});

test("values of programs and tensors of files", () => {
  const samples = [floats([1.5, -2], [2]), ints([1, -2], [2, 1]), bools([true, false], [1, 2])];
  for (const value of samples) expect(toValue(fromValue(value))).toEqual(value);
  expect(toValue(fromValue(floats([1.5, -2], [2]), "F16"))).toEqual(floats([1.5, -2], [2]));
  expect(toValue(hostTensor("BOOL", [2], Uint8Array.of(0, 9))).data).toEqual(Uint8Array.of(0, 1));
  expect(toValue(hostTensor("U8", [2], Uint8Array.of(0, 9))).data).toEqual(Int32Array.of(0, 9));
  expect(toValue(hostTensor("F64", [1], Float64Array.of(2))).data).toEqual(Float32Array.of(2));
});

test("bytes of a tensor give the tensor again", () => {
  fc.assert(
    fc.property(fc.constantFrom(...dtypes), fc.uint8Array({ maxLength: 64 }), (dtype, raw) => {
      const count = Math.floor(raw.length / dtypeBytes(dtype));
      const bytes = raw.slice(0, count * dtypeBytes(dtype));
      expect(tensorBytes(viewTensor(dtype, [count], bytes))).toEqual(bytes);
    }),
  );
});
