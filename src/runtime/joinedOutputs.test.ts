import { expect, test } from "vitest";
import { mul } from "../tensor/ops/elementwise.ts";
import { float32 } from "../tensor/tensor.ts";
import { JoinedOutputs } from "./joinedOutputs.ts";
import { trace } from "./trace.ts";
import { floats } from "./values.ts";

const graphOf = (sizes: readonly (number | string)[]) =>
  trace(Object.fromEntries(sizes.map((size, i) => [`x${i}`, float32(size)])), (inputs) =>
    Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name.replace("x", "y"), mul(x, 2)])),
  );

const outputsOf = (graph: ReturnType<typeof graphOf>, ...apart: string[]) => {
  const { outputs } = JoinedOutputs.of(graph, new Set(apart)).join(graph);
  return Object.entries(outputs).map(([name, { shape }]) => [name, ...shape.map(String)].join(" "));
};

test("outputs of fixed shapes join, others stay", () => {
  expect(outputsOf(graphOf([1, 2, "N", 3, 4, 5]), "y5")).toEqual(["y2 N", "y5 5", "joined outputs 0 10"]);
});

test("a few outputs are not worth a copy", () => {
  expect(outputsOf(graphOf([1, 2, 3]))).toEqual(["y0 1", "y1 2", "y2 3"]);
});

test("no joined output is larger than a GPU binds", () => {
  const half = 2 ** 23;
  expect(outputsOf(graphOf([half, half, 1, 3 * half, 1]))).toEqual([
    `joined outputs 0 ${2 * half}`,
    "joined outputs 1 1",
    `joined outputs 2 ${3 * half}`,
    "joined outputs 3 1",
  ]);
});

test("parts are cut out in order", () => {
  const joined = JoinedOutputs.of(graphOf([1, 2, 1, 2]), new Set());
  const { y1, y3 } = joined.split({ "joined outputs 0": floats([0, 1, 2, 3, 4, 5], [6]) });
  expect([y1?.data, y3?.data].map((data) => [...(data ?? [])])).toEqual([
    [1, 2],
    [4, 5],
  ]);
});
