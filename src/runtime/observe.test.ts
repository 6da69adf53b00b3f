import { expect, it } from "vitest";
import { mul } from "../tensor/ops/elementwise.ts";
import { conv2d, linear, matmul } from "../tensor/ops/linear.ts";
import { concat } from "../tensor/ops/structure.ts";
import { float32, input } from "../tensor/tensor.ts";
import { openCpu } from "./device.node.ts";
import { LayerObserver, relativeError } from "./observe.ts";
import { compile } from "./program.ts";
import { trace } from "./trace.ts";
import { floats } from "./values.ts";

const device = await openCpu({ threads: 1 });

it("sees layers, ranges and differences, and changes nothing", async () => {
  const graph = trace(
    { x: float32("B", 2), past: float32("B", "M", 2), map: float32("B", 1, 2, 2) },
    ({ x, past, map }) => {
      const table = input("table", float32(2, 2));
      return {
        y: linear(x, input("w", float32(2, 2)), input("b", float32(2))),
        shared: matmul(linear(x, table), table),
        k: conv2d(map, input("k", float32(1, 1, 1, 1))),
        long: concat([past, past], 1),
      };
    },
  );
  const weights = new Map([
    ["w", floats([1, 0, 0, 2], [2, 2])],
    ["b", floats([0, 0], [2])],
    ["table", floats([1, 0, 0, 1], [2, 2])],
    ["k", floats([-2], [1, 1, 1, 1])],
  ]);
  const feeds = {
    x: floats([3, 4], [1, 2]),
    past: floats([], [1, 0, 2]), // an empty cache takes a program of its own
    map: floats([1, -5, 2, 3], [1, 1, 2, 2]),
  };
  using plain = await compile(graph, { device, weights });
  const expected = await plain.run(feeds);
  const observer = new LayerObserver({
    ranges: true,
    otherForm: ({ node, kind }) => (kind === "linear" ? mul(node, 1.5) : undefined),
  });
  using watched = await compile(graph, { device: observer.watch(device), weights });
  const outputs = await watched.run(feeds);
  for (const name of ["y", "shared", "k", "long"] as const) expect(outputs[name]).toEqual(expected[name]);
  await watched.run({ ...feeds, map: floats([0, 0, 0, 9], [1, 1, 2, 2]) });
  const { layers } = observer;
  expect([...layers.keys()].sort()).toEqual(["k", "table", "w"]);
  expect(layers.get("table")?.otherUses).toBe(true);
  expect(layers.get("w")).toMatchObject({
    kind: "linear",
    shape: [2, 2],
    otherUses: false,
    size: 2 * (9 + 64),
  });
  expect(relativeError(layers.get("w") as never)).toBeCloseTo(0.5, 6);
  expect(layers.get("k")).toMatchObject({
    kind: "convolution",
    input: { least: -5, most: 9 },
    output: { least: -18, most: 10 },
  });
});
