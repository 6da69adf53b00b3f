import { expect, it } from "vitest";
import { topologicalOrder } from "../tensor/graph.ts";
import { type ConvOptions, conv2d, conv2dBias, upsampleNearest } from "../tensor/ops/linear.ts";
import { RandomStream } from "../tensor/random.ts";
import { constant, float32, input } from "../tensor/tensor.ts";
import { openCpu } from "./device.node.ts";
import { withEnlargedConvolutions } from "./enlargedConvolutions.ts";
import { compile } from "./program.ts";
import { trace } from "./trace.ts";
import { floats, type Value } from "./values.ts";

const device = await openCpu({ threads: 2 });
const random = RandomStream.from(4, "enlarged");
const [inside, outside] = [3, 5];
const weights = new Map<string, Value>([
  ["w", floats(random.normals(outside * inside * 9, 0.3), [outside, inside, 3, 3])],
  ["b", floats(random.normals(outside, 1), [outside])],
]);

/** Convolution of an enlarged map [B, 3, H, W], whose sides are symbols. */
const graphOf = ({
  factor = 2,
  isBiased = true,
  ...options
}: ConvOptions & { factor?: number; isBiased?: boolean }) =>
  trace({ x: float32("B", inside, "H", "W") }, ({ x }) => {
    const w = input("w", float32(outside, inside, 3, 3));
    const large = upsampleNearest(x, factor);
    return {
      y: isBiased ? conv2dBias(large, w, input("b", float32(outside)), options) : conv2d(large, w, options),
    };
  });
const usual = { pads: [1, 1, 1, 1] } as const;
const enlarges = (
  graph: ReturnType<typeof graphOf>,
  held: { has(name: string): boolean } = weights,
): boolean => {
  const nodes = topologicalOrder(Object.values(withEnlargedConvolutions(graph, held).outputs));
  return nodes.some(({ op }) => op.name === "upsampleNearest");
};

it.each([
  ["one site", 1, 1, true],
  ["odd sides", 5, 3, true],
  ["no bias", 4, 7, false],
])("computes what the convolution of the enlarged map does: %s", async (_, height, width, isBiased) => {
  const graph = graphOf({ ...usual, isBiased });
  expect([enlarges(graph), enlarges(graph, new Set())]).toEqual([false, true]);
  const x = floats(random.normals(2 * inside * height * width, 1), [2, inside, height, width]);
  using small = await compile(graph, { device, weights });
  using plain = await compile(graph, { device }); // weights of every run: as it is described
  const [{ y }, { y: expected }] = [await small.run({ x }), await plain.run({ x }, weights)];
  expect(y.shape).toEqual([2, outside, 2 * height, 2 * width]);
  const errors = Array.from(y.data, (value, i) => Math.abs(Number(value) - Number(expected.data[i])));
  expect(Math.max(...errors)).toBeLessThan(1e-5);
});

it("takes weights that are constants of the graph to the same bits", async () => {
  const graph = trace({ x: float32("B", inside, "H", "W") }, ({ x }) => {
    const [w, b] = [weights.get("w") as Value, weights.get("b") as Value]; // set above
    const [kernel, bias] = [constant(w.data, w.shape), constant(b.data, b.shape)];
    return { y: conv2dBias(upsampleNearest(x, 2), kernel, bias, usual) };
  });
  expect(enlarges(graph, new Set())).toBe(false);
  const x = floats(random.normals(inside * 12, 1), [1, inside, 3, 4]);
  using constants = await compile(graph, { device });
  using inputs = await compile(graphOf(usual), { device, weights });
  expect((await constants.run({ x })).y.data).toEqual((await inputs.run({ x })).y.data);
});

it("takes no pictures as well", async () => {
  using program = await compile(graphOf(usual), { device, weights });
  const { y } = await program.run({ x: floats(new Float32Array(0), [0, inside, 4, 4]) });
  expect(y.shape).toEqual([0, outside, 8, 8]);
});

it.each([
  ["another factor", { ...usual, factor: 3 }],
  ["another stride", { ...usual, stride: 2 }],
  ["other padding", { pads: [0, 0, 1, 1] }],
] as const)("leaves what it is not for: %s", (_, options) => {
  expect(enlarges(graphOf(options))).toBe(true);
});
