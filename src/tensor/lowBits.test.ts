import { describe, expect, it } from "vitest";
import { fromLowBits, toInt4, toInt8, toSevenBits } from "./lowBits.ts";
import { RandomStream } from "./random.ts";

const random = RandomStream.from(1, "low bits");
const most = (a: Float32Array, b: Float32Array): number =>
  a.reduce((top, v, i) => Math.max(top, Math.abs(v - (b[i] as number))), 0);

describe("weights of few bits", () => {
  it("keep each channel within half a step, whatever the sizes of the others", () => {
    const data = random.normals(3 * 50, 1).map((v, i) => v * 10 ** Math.floor(i / 50));
    for (const bits of [7, 8] as const) {
      const weight = toInt8(data, [3, 50], bits);
      const back = fromLowBits(weight);
      for (let row = 0; row < 3; row++) {
        const part = (x: Float32Array) => x.subarray(row * 50, row * 50 + 50);
        expect(most(part(back), part(data))).toBeLessThanOrEqual((weight.scales[row] as number) * 0.5001);
      }
      expect(Math.max(...weight.codes.map(Math.abs))).toBe(bits === 8 ? 127 : 63);
    }
  });

  it("four bits: half a step per block, the largest entry kept, last blocks not full", () => {
    const data = random.normals(2 * 45, 1).map((v, i) => v * (i % 45 < 32 ? 1 : 100));
    const weight = toInt4(data, [2, 45]);
    expect([weight.codes.length, weight.scales.length]).toEqual([64, 4]);
    const back = fromLowBits(weight);
    expect(back.length).toBe(90);
    for (let i = 0; i < 90; i++) {
      const scale = Math.abs(weight.scales[2 * Math.floor(i / 45) + (i % 45 < 32 ? 0 : 1)] as number);
      // codes reach from -8 to 7: the end without -8 may be cut by one step
      expect(Math.abs((back[i] as number) - (data[i] as number))).toBeLessThanOrEqual(scale * 1.001);
    }
    for (const scale of weight.scales) {
      const bits = new Uint32Array(Float32Array.of(scale).buffer)[0] as number;
      expect(bits & 0x1fff).toBe(0); // float16 holds it
    }
  });

  it.each([1, 0.1, 0.01, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5])("four bits keep weights of deviation %f", (size) => {
    const data = random.normals(64 * 96, 1).map((v) => v * size);
    const weight = toInt4(data, [64, 96]);
    const back = fromLowBits(weight);
    const power = (values: Float32Array) => values.reduce((total, v) => total + v * v, 0);
    const error = Math.sqrt(power(back.map((v, i) => v - (data[i] as number))) / power(data)); // as long
    expect(error).toBeLessThan(0.1);
    for (const scale of weight.scales) expect(Number.isInteger(scale * 2 ** 24), `${scale}`).toBe(true); // float16 ends there
  });

  it("four bits: what float16 cannot tell from nothing is nothing, what it cannot hold is refused", () => {
    expect([...fromLowBits(toInt4(Float32Array.of(1e-9, -1e-9), [1, 2]))].map(Math.abs)).toEqual([0, 0]);
    const most = 8 * 65504;
    expect(fromLowBits(toInt4(Float32Array.of(-most, most), [1, 2]))[0]).toBe(-most);
    for (const large of [8 * 65521, -1e30]) {
      const code = expect.objectContaining({ code: "TENSOR_FLOAT_RANGE" });
      expect(() => toInt4(Float32Array.of(large, 0), [1, 2])).toThrow(code);
    }
  });

  it("zeros, single entries and empty matrices", () => {
    expect([...fromLowBits(toInt8(new Float32Array(4), [2, 2], 8))]).toEqual([0, 0, 0, 0]);
    expect([...fromLowBits(toInt4(new Float32Array(4), [2, 2]))].map(Math.abs)).toEqual([0, 0, 0, 0]);
    expect(fromLowBits(toInt8(Float32Array.of(-3), [1, 1], 8))[0]).toBeCloseTo(-3, 6);
    expect(fromLowBits(toInt4(Float32Array.of(-3), [1, 1]))[0]).toBeCloseTo(-3, 6);
    expect(fromLowBits(toInt8(new Float32Array(0), [0, 3], 8)).length).toBe(0);
    expect(fromLowBits(toInt4(new Float32Array(0), [0, 3])).length).toBe(0);
  });

  it("eight bits become seven, seven stay", () => {
    const weight = toInt8(random.normals(64, 1), [2, 32], 8);
    const seven = toSevenBits(weight);
    expect(Math.max(...seven.codes.map(Math.abs))).toBe(63);
    expect(most(fromLowBits(seven), fromLowBits(weight))).toBeLessThan(Math.max(...seven.scales) * 0.51);
    expect(toSevenBits(seven)).toBe(seven);
  });

  it("refuse infinities and NaN", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const code = expect.objectContaining({ code: "QUANTIZE_NOT_FINITE" });
      expect(() => toInt8(Float32Array.of(1, bad), [1, 2], 8)).toThrow(code);
      expect(() => toInt4(Float32Array.of(1, bad), [1, 2])).toThrow(code);
    }
  });
});
