import { describe, expect, it } from "vitest";
import { QuantisedValue } from "../runtime/quantised.ts";
import { toInt4, toInt8 } from "../tensor/lowBits.ts";
import { byteRange } from "../tensor/ops/quantised.ts";
import { RandomStream } from "../tensor/random.ts";
import type { HostTensor } from "./hostTensor.ts";
import { quantisedTensors, toWeights } from "./quantisedTensors.ts";
import { readSafetensors, writeSafetensors } from "./safetensors.ts";

const random = RandomStream.from(4, "quantised tensors");
const matrix = new QuantisedValue(toInt8(random.normals(6 * 10, 1), [6, 10], 8));
const kernel = new QuantisedValue(toInt8(random.normals(4 * 2 * 9, 1), [4, 2, 3, 3], 7), {
  input: byteRange(-1, 3),
  output: byteRange(-7, 2),
});
const four = new QuantisedValue(toInt4(random.normals(5 * 45, 1), [5, 45]));
const plain: HostTensor = { dtype: "F16", shape: [2], data: Uint16Array.of(0x3c00, 0) };

function tensors(): Map<string, HostTensor> {
  return new Map([
    ["plain", plain],
    ...quantisedTensors("matrix", matrix),
    ...quantisedTensors("kernel", kernel),
    ...quantisedTensors("four", four),
  ]);
}

describe("weights of few bits in files", () => {
  it("come back as they were, beside others", () => {
    const weights = toWeights(readSafetensors(writeSafetensors(tensors())).tensors);
    expect([...weights.keys()].sort()).toEqual(["four", "kernel", "matrix", "plain"]);
    expect(weights.get("plain")).toEqual({ data: Float32Array.of(1, 0), shape: [2] });
    expect(weights.get("matrix")).toEqual(matrix);
    expect(weights.get("kernel")).toEqual(kernel);
    expect(weights.get("four")).toEqual(four);
    expect(weights.get("four")?.shape).toEqual([5, 45]);
  });

  const broken: Record<string, (all: Map<string, HostTensor>) => unknown> = {
    "scales without codes": (all) => all.delete("matrix"),
    "too few scales": (all) =>
      all.set("matrix:scale", { dtype: "F32", shape: [5], data: new Float32Array(5) }),
    "scales that are not finite": (all) =>
      all.set("matrix:scale", { dtype: "F32", shape: [6], data: new Float32Array(6).fill(Number.NaN) }),
    "codes of another type": (all) =>
      all.set("matrix", { dtype: "I16", shape: [6, 10], data: new Int16Array(60) }),
    "no width": (all) => all.delete("four:width"),
    "a width of other blocks": (all) =>
      all.set("four:width", { dtype: "I32", shape: [], data: Int32Array.of(65) }),
    "a width below 1": (all) => all.set("four:width", { dtype: "I32", shape: [], data: Int32Array.of(0) }),
    "an empty range": (all) =>
      all.set("kernel:ranges", { dtype: "F32", shape: [4], data: new Float32Array(4) }),
    "a zero that is no byte": (all) =>
      all.set("kernel:ranges", { dtype: "F32", shape: [4], data: Float32Array.of(1, 256, 1, 0) }),
    "ranges from before the bias": (all) =>
      all.set("kernel:range", { dtype: "F32", shape: [4], data: Float32Array.of(1, 0, 1, 0) }),
    "a range of another length": (all) =>
      all.set("kernel:ranges", { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) }),
  };
  it.each(Object.entries(broken))("are refused with %s", (_, damage) => {
    const all = tensors();
    damage(all);
    expect(() => toWeights(all)).toThrow(expect.objectContaining({ code: "MODEL_BAD_QUANTISATION" }));
  });
});
