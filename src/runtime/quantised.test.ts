import { describe, expect, it } from "vitest";
import { toInt4, toInt8 } from "../tensor/lowBits.ts";
import { conv2dBias, linear, matmul } from "../tensor/ops/linear.ts";
import { byteRange } from "../tensor/ops/quantised.ts";
import { countNodes } from "../tensor/passes.ts";
import { RandomStream } from "../tensor/random.ts";
import { float32, input, type Tensor } from "../tensor/tensor.ts";
import { openCpu } from "./device.node.ts";
import type { Device } from "./device.ts";
import { peakBytes } from "./memory.ts";
import { machineWeightBits, weightBitsOf } from "./processor.node.ts";
import { compile, exportOnnx } from "./program.ts";
import { QuantisedValue, withQuantisedLayers } from "./quantised.ts";
import { trace } from "./trace.ts";
import { floats, type Value } from "./values.ts";

const device = await openCpu({ threads: 2 });
const random = RandomStream.from(2, "quantised graph");
const w = random.normals(64 * 48, 0.1);
const table = random.normals(64 * 48, 0.1);
const kernel = random.normals(6 * 4 * 9, 0.2);

const weight = () => input("w", float32(64, 48));
const ops = (outputs: Readonly<Record<string, Tensor>>): string[] => {
  const seen: string[] = [];
  const visit = (node: Tensor): void => {
    seen.push(node.op.name);
    node.inputs.forEach(visit);
  };
  Object.values(outputs).forEach(visit);
  return seen;
};
const relative = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let [error, size] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    error += ((a[i] as number) - (b[i] as number)) ** 2;
    size += (b[i] as number) ** 2;
  }
  return Math.sqrt(error / size);
};

/** w twice as rows, t once as rows and once otherwise. */
function twice(x: Tensor) {
  const [own, other] = [weight(), input("t", float32(64, 48))];
  return {
    y: linear(x, own, input("b", float32(64))),
    plain: linear(x, own),
    again: matmul(linear(x, other), other),
  };
}

const graph = trace({ x: float32("B", "N", 48), map: float32("B", 4, 5, 5) }, ({ x, map }) => ({
  ...twice(x),
  picture: conv2dBias(map, input("k", float32(6, 4, 3, 3)), input("c", float32(6)), { pads: [1, 1, 1, 1] }),
}));
const small = new Map<string, Value>([
  ["b", floats(random.normals(64, 1), [64])],
  ["c", floats(random.normals(6, 1), [6])],
]);
const float = new Map([
  ...small,
  ["w", floats(w, [64, 48])],
  ["t", floats(table, [64, 48])],
  ["k", floats(kernel, [6, 4, 3, 3])],
]);
const ranges = { input: byteRange(-4, 4), output: byteRange(-12, 12) };
const int8 = new Map([
  ...small,
  ["w", new QuantisedValue(toInt8(w, [64, 48], 8))],
  ["t", new QuantisedValue(toInt8(table, [64, 48], 8))],
  ["k", new QuantisedValue(toInt8(kernel, [6, 4, 3, 3], 8), ranges)],
]);
const feeds = (rows: number) => ({
  x: floats(random.normals(rows * 3 * 48, 1), [rows, 3, 48]),
  map: floats(random.normals(rows * 100, 1), [rows, 4, 5, 5]),
});

async function outputs(weights: ReadonlyMap<string, Value>, inputs = feeds(2), on: Device = device) {
  using program = await compile(graph, { device: on, weights });
  return await program.run(inputs); // before it is disposed
}

describe("quantised weights in a graph", () => {
  it("become integer layers where they are rows or kernels, float32 elsewhere", async () => {
    const quantised = withQuantisedLayers(graph, int8);
    const names = ops(quantised.outputs);
    expect(names.filter((name) => name === "int8Linear")).toHaveLength(3);
    expect(names).toContain("int8Conv2d");
    expect(names).toContain("matmul"); // the second use of t is no product with its rows
    expect([...quantised.weights.keys()].sort()).toEqual(["b", "c", "t"]);
    const inputs = feeds(2);
    const [exact, close] = [await outputs(float, inputs), await outputs(int8, inputs)];
    for (const name of ["y", "plain", "again", "picture"] as const) {
      expect(close[name].shape).toEqual(exact[name].shape);
      const error = relative(close[name].data, exact[name].data);
      expect(error, name).toBeLessThan(0.03);
      expect(error, name).toBeGreaterThan(1e-4); // integers did compute
    }
  });

  it("leave graphs without any alone", () => {
    expect(withQuantisedLayers(graph, float)).toBe(graph);
  });

  it("compute convolutions without ranges in float32 over the rounded weights", async () => {
    const value = new QuantisedValue(toInt8(kernel, [6, 4, 3, 3], 8));
    const inputs = feeds(1);
    const rounded = new Map<string, Value>([...float, ["k", floats(value.data, [6, 4, 3, 3])]]);
    const expected = (await outputs(rounded, inputs)).picture.data;
    expect([...(await outputs(new Map([...float, ["k", value]]), inputs)).picture.data]).toEqual([
      ...expected,
    ]);
  });

  it("serve empty batches and four bits", async () => {
    const none = await outputs(int8, feeds(0));
    expect([none.y.shape, none.picture.shape]).toEqual([
      [0, 3, 64],
      [0, 6, 5, 5],
    ]);
    const four = new QuantisedValue(toInt4(w, [64, 48]));
    const inputs = feeds(2);
    const exact = (
      await outputs(new Map<string, Value>([...float, ["w", floats(four.data, [64, 48])]]), inputs)
    ).y;
    expect(
      relative((await outputs(new Map([...float, ["w", four]]), inputs)).y.data, exact.data),
    ).toBeLessThan(1e-5);
  });

  it("use seven bits where the processor needs that", async () => {
    const inputs = feeds(2);
    const seven = await outputs(int8, inputs, { ...device, weightBits: 7 });
    const eight = await outputs(int8, inputs, { ...device, weightBits: 8 });
    const exact = await outputs(float, inputs);
    const errorOf = ({ y }: typeof exact) => relative(y.data, exact.y.data);
    expect(errorOf(seven)).toBeLessThan(0.03);
    // eight bits are finer where sums of two products fit, and overflow elsewhere
    if (machineWeightBits() === 8) expect(errorOf(eight)).toBeLessThan(errorOf(seven));
    else expect(errorOf(eight)).toBeGreaterThan(errorOf(seven));
  });

  it("count as memory of a run", () => {
    const alone = trace({ x: float32(1, 48) }, ({ x }) => ({ y: linear(x, weight()) }));
    const bound = withQuantisedLayers(alone, int8);
    const bytes = 64 * 48 + 4 * 64;
    const none = new Map<string, number>();
    expect(peakBytes(Object.values(bound.outputs), none)).toBeGreaterThanOrEqual(bytes);
    expect(peakBytes(Object.values(bound.outputs), none)).toBeLessThan(4 * 64 * 48);
  });

  it("are exported with their integers", () => {
    const alone = trace({ x: float32("B", 48) }, ({ x }) => ({ y: linear(x, weight()) }));
    const bytes = exportOnnx(alone, int8);
    expect(bytes.length).toBeLessThan(exportOnnx(alone, float).length / 2);
    expect(Buffer.from(bytes).includes("MatMulIntegerToFloat")).toBe(true);
    expect(countNodes(alone.outputs)).toBeLessThan(4); // the traced graph itself is untouched
  });
});

it("seven bits are for x86 processors without VNNI, and for those that cannot be asked", () => {
  const flags = (text: string) => `flags\t\t: fpu avx2 ${text} sse\n`;
  expect(weightBitsOf("x64", flags("avx512_vnni"))).toBe(8);
  expect(weightBitsOf("x64", flags("avx_vnni"))).toBe(8);
  expect(weightBitsOf("x64", flags("avx512f"))).toBe(7);
  expect(weightBitsOf("x64", undefined)).toBe(7);
  expect(weightBitsOf("arm64", undefined)).toBe(8);
});
