import { describe, expect, it } from "vitest";
import { addDims, symbol } from "../tensor/dims.ts";
import { topologicalOrder } from "../tensor/graph.ts";
import { add } from "../tensor/ops/elementwise.ts";
import { scatterAddRows } from "../tensor/ops/gather.ts";
import { conv2d, linear, matmul } from "../tensor/ops/linear.ts";
import { dimValue } from "../tensor/ops/neural.ts";
import { concat, pad, reshape, slice, sum } from "../tensor/ops/structure.ts";
import { float32, input, int32, type Tensor } from "../tensor/tensor.ts";
import { openCpu } from "./device.node.ts";
import type { Device } from "./device.ts";
import { computesOnEmpty, fixSizes } from "./fixedSizes.ts";
import { compile } from "./program.ts";
import { trace } from "./trace.ts";
import { floats, ints } from "./values.ts";

const N = symbol("N");
const cpu = await openCpu({ threads: 1 });
const sizes = (n: number) => new Map([["N", n]]);

/** The CPU, counting sessions and refusing to see an empty operand of an op that computes. */
function counting(): { device: Device; sessions: () => number } {
  let sessions = 0;
  const device: Device = {
    ...cpu,
    createSession(model, options) {
      sessions++;
      return cpu.createSession(model, options);
    },
  };
  return { device, sessions: () => sessions };
}

describe("a graph at known sizes", () => {
  it("has numbers for symbols in shapes and attributes, and the same inputs", () => {
    const x = input("x", float32(N, 4));
    const y = add(sum(slice(pad(x, 0, N, 1), 0, 1, addDims(N, 2))), dimValue(N));
    const fixed = fixSizes([["y", y]], sizes(3));
    expect(fixed.inputs.x?.shape).toEqual([3, 4]);
    for (const { shape, attrs } of topologicalOrder([fixed.outputs.y as Tensor])) {
      expect(shape.every((side) => typeof side === "number")).toBe(true);
      expect(JSON.stringify(attrs)).not.toContain("terms");
    }
  });

  it("keeps no empty operand", () => {
    const x = input("x", float32(2, N));
    const outputs = { sum: sum(x, [1]), joined: concat([x, input("z", float32(2, 1))], 1) };
    const fixed = fixSizes(Object.entries(outputs), sizes(0));
    expect(computesOnEmpty(Object.values(fixed.outputs), new Map())).toBe(false);
    expect(Object.keys(fixed.inputs)).toEqual(["z"]);
  });
});

describe("empty tensors", () => {
  it("stand for zeros in sums, products and scatters, and for the bias of a linear layer", async () => {
    const graph = trace(
      {
        x: float32(2, 3, N),
        w: float32(4, N),
        b: float32(4),
        ids: int32(N),
        image: float32(1, N, 3, 3),
        k: float32(2, N, 2, 2),
      },
      ({ x, w, b, ids, image, k }) => ({
        product: matmul(x, w, false, true),
        affine: linear(x, w, b),
        total: sum(x, [0, 2]),
        rows: scatterAddRows(ids, reshape(sum(x, [0, 1]), [N, 1]), 5),
        conv: conv2d(image, k),
      }),
    );
    const { device, sessions } = counting();
    using program = await compile(graph, { device });
    const none = (...shape: number[]) => floats([], shape);
    const run = () =>
      program.run({
        x: none(2, 3, 0),
        w: none(4, 0),
        b: floats([1, 2, 3, 4], [4]),
        ids: ints([], [0]),
        image: none(1, 0, 3, 3),
        k: none(2, 0, 2, 2),
      });
    const { product, affine, total, rows, conv } = await run();
    expect(product).toEqual(floats(new Float32Array(24), [2, 3, 4]));
    expect([...affine.data.slice(0, 5), affine.shape]).toEqual([1, 2, 3, 4, 1, [2, 3, 4]]);
    expect(total).toEqual(floats([0, 0, 0], [3]));
    expect(rows).toEqual(floats([0, 0, 0, 0, 0], [5, 1]));
    expect(conv).toEqual(floats(new Float32Array(8), [1, 2, 2, 2]));
    await run();
    expect(sessions()).toBe(2); // one more for these sizes, once
  });

  it("that are only moved need no program of their own: the first past of a cache", async () => {
    const graph = trace({ past: float32(1, N, 2), x: float32(1, 3, 2) }, ({ past, x }) => {
      const all = concat([reshape(past, [1, N, 2]), x], 1);
      return { all, scores: matmul(x, all, false, true) };
    });
    const { device, sessions } = counting();
    using program = await compile(graph, { device });
    const x = floats([1, 2, 3, 4, 5, 6], [1, 3, 2]);
    const { all } = await program.run({ past: floats([], [1, 0, 2]), x });
    expect(all).toEqual(x);
    expect(sessions()).toBe(1);
  });
});
