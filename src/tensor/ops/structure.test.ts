import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openCpu } from "../../runtime/device.node.ts";
import { compile } from "../../runtime/program.ts";
import { OpChecker } from "../../runtime/testing/checkOp.ts";
import { trace } from "../../runtime/trace.ts";
import { floats } from "../../runtime/values.ts";
import { addDims, type Dim, mulDims, sizeOf, subDims, symbol } from "../dims.ts";
import { grad } from "../grad.ts";
import { bool, float32, input, int32, type Tensor } from "../tensor.ts";
import { broadcastPairs, forAll, shapes, sizesOf, symbolsIn } from "../testing/arbitraries.ts";
import * as e from "./elementwise.ts";
import * as s from "./structure.ts";
import { structureOps } from "./structure.ts";

const device = await openCpu({ threads: 1 });
const checker = new OpChecker(device);
const withCode = (code: string) => expect.objectContaining({ code });

/** A shape, an order of its axes, a subset of them, and sizes. */
const views = (minRank: number, maxRank: number) =>
  shapes(minRank, maxRank).chain((shape) => {
    const axes = shape.map((_, i) => i);
    return fc.record({
      shape: fc.constant(shape),
      permutation: fc.shuffledSubarray(axes, { minLength: axes.length }),
      axes: fc.subarray(axes),
      axis: fc.nat(Math.max(0, axes.length - 1)),
      sizes: sizesOf(symbolsIn(shape), shape.length > 3 ? 2 : 4),
    });
  });

const axesOf = (x: Tensor): number[] => x.shape.map((_, i) => i);

describe("ops that move or add up elements", () => {
  it("transpose, sum, reshape, cast and stopGradient, differentiated twice", { timeout: 60_000 }, () =>
    forAll(views(0, 5), 24, ({ shape, permutation, axes, sizes }) =>
      checker.check(
        {
          inputs: { x: float32(...shape), n: int32(...shape), c: bool(...shape) },
          build: ({ x, n, c }) => ({
            transpose: s.transpose(x, permutation),
            transposeTwice: s.transpose(s.transpose(x, permutation), [
              ...axesOf(x).slice(1),
              ...axesOf(x).slice(0, 1),
            ]),
            transposeInt: s.transpose(n, permutation),
            transposeBool: s.transpose(c, permutation),
            sum: s.sum(x, axes),
            sumKept: s.sum(x, axes, true),
            sumAll: s.sum(x),
            sumInt: s.sum(n, axes),
            flat: s.reshape(x, [-1]),
            column: s.reshape(x, [sizeOf(shape), 1]),
            merged: s.reshape(x, [sizeOf(shape.slice(0, 2)), ...shape.slice(2)]),
            apart: s.reshape(s.reshape(x, [1, -1]), [...shape, 1]),
            toInt: s.cast(e.mul(x, 3), "int32"),
            toFloat: s.cast(n, "float32"),
            toBool: s.cast(n, "bool"),
            fromBool: e.add(s.cast(c, "float32"), s.cast(s.cast(c, "int32"), "float32")),
          }),
        },
        sizes,
      ),
    ),
  );

  it("broadcastTo and sumTo", { timeout: 60_000 }, () => {
    const cases = broadcastPairs(5).chain((pair) =>
      fc.tuple(fc.constant(pair), sizesOf(symbolsIn(pair.a, pair.b), 3)),
    );
    return forAll(cases, 24, ([{ a, b }, sizes]) =>
      checker.check(
        {
          inputs: { a: float32(...a), b: float32(...b), n: int32(...a), c: bool(...a) },
          build: ({ a, b, n, c }) => {
            const { shape } = e.add(a, b);
            const full = e.add(e.mul(a, 2), b);
            return {
              full: s.broadcastTo(a, shape),
              fullB: s.broadcastTo(b, shape),
              fullInt: s.broadcastTo(n, shape),
              fullBool: s.broadcastTo(c, shape),
              sumToA: s.sumTo(full, a.shape),
              sumToB: s.sumTo(full, b.shape),
            };
          },
        },
        sizes,
      ),
    );
  });

  it("slice, pad, split and concat, with static and symbolic ends", { timeout: 60_000 }, () => {
    const extra = symbol("Z");
    const cases = fc.tuple(views(1, 4), fc.nat(2), fc.nat(2));
    return forAll(cases, 24, ([{ shape, axis, sizes }, before, after]) => {
      const longer = (n: Dim): Dim[] => shape.map((dim, i) => (i === axis ? addDims(dim, n) : dim));
      const length = shape[axis] as Dim;
      return checker.check(
        {
          inputs: {
            x: float32(...longer(before + after)),
            y: float32(...shape.map((dim, i) => (i === axis ? extra : dim))),
            n: int32(...shape),
            c: bool(...shape),
            carrier: float32(...shape),
          },
          build: ({ x, y, n, c, carrier }) => ({
            slice: s.slice(x, axis, before, addDims(length, before)),
            head: s.slice(x, axis, 0, before),
            fromEnd: s.slice(x, axis - shape.length, addDims(length, before), addDims(length, before, after)),
            pad: s.pad(x, axis, before, after),
            padSymbolic: s.pad(y, axis, length, 1),
            padInt: s.pad(n, axis, 1, before),
            padBool: s.pad(c, axis, after, 1),
            concat: s.concat([y, x, y], axis),
            joined: s.slice(s.concat([carrier, y], axis), axis, length, addDims(length, extra)),
            concatInt: s.concat([n, s.slice(n, axis, 0, length)], axis),
            concatBool: s.concat([c, c], axis),
            split: e.mul(
              ...(s.split(s.concat([carrier, carrier], axis), axis, [length, length]) as [Tensor, Tensor]),
            ),
          }),
        },
        sizes.map((run, i) => ({ ...run, Z: i })),
      );
    });
  });

  it("reshape with several symbols, some zero when the program runs", { timeout: 60_000 }, async () => {
    const [B, n] = [symbol("B"), symbol("n")];
    const runs = [3, 1, 0].flatMap((b) => [2, 1, 0].map((m) => ({ B: b, n: m })));
    await checker.check(
      {
        inputs: { x: float32(B, mulDims(2, n), 3), b: float32(B), m: float32(n) },
        build: ({ x }) => ({
          rows: s.reshape(x, [mulDims(B, n), 6]),
          one: s.reshape(x, [mulDims(B, n, 6)]),
          split: s.reshape(x, [B, n, 2, 3]),
          turned: s.transpose(s.reshape(x, [B, 2, n, 3]), [0, 2, 1, 3]),
          free: s.reshape(x, [-1, mulDims(3, n)]),
          late: s.reshape(s.slice(x, 1, n, mulDims(2, n)), [B, -1]),
        }),
      },
      runs,
    );
  });

  it("stopGradient keeps values and ends gradients", async () => {
    const inputs = { x: float32("N", 2) };
    await checker.check({ inputs, build: ({ x }) => ({ y: s.stopGradient(x) }), derivatives: 0 }, [
      { N: 3 },
      { N: 0 },
    ]);
    const graph = trace(inputs, ({ x }) => ({
      g: grad(s.sum(e.mul(s.stopGradient(x), x)), [x])[0] as Tensor,
      zeros: grad(s.sum(s.stopGradient(x)), [x])[0] as Tensor,
    }));
    using program = await compile(graph, { device });
    const { g, zeros } = await program.run({ x: floats([1, 2, 3, 4], [2, 2]) });
    expect([...g.data]).toEqual([1, 2, 3, 4]);
    expect([...zeros.data]).toEqual([0, 0, 0, 0]);
  });

  it("rounds towards zero and finds NaN true", async () => {
    const graph = trace({ x: float32("N") }, ({ x }) => ({ n: s.cast(x, "int32"), c: s.cast(x, "bool") }));
    using program = await compile(graph, { device });
    const { n, c } = await program.run({ x: floats([1.9, -1.9, 0.5, -0, 2 ** 24 + 2, Number.NaN], [6]) });
    expect([...n.data].slice(0, 5)).toEqual([1, -1, 0, 0, 16777218]);
    expect([...c.data]).toEqual([1, 1, 1, 0, 1, 1]);
  });

  it("lets the straight-through estimator pass gradients around a step", async () => {
    const graph = trace({ x: float32("N") }, ({ x }) => {
      const stepped = e.sign(x);
      const y = e.add(x, s.stopGradient(e.sub(stepped, x)));
      const [g] = grad(s.sum(e.mul(y, 3)), [x]) as [Tensor];
      return { y, g };
    });
    using program = await compile(graph, { device });
    const { y, g } = await program.run({ x: floats([-0.5, 2, 0.25], [3]) });
    expect([...y.data]).toEqual([-1, 1, 1]);
    expect([...g.data]).toEqual([3, 3, 3]);
  });

  it("refuse what they cannot mean", () => {
    const x = input("x", float32(2, 3));
    const c = input("c", bool(2, 3));
    expect(() => s.reshape(x, [4, 2])).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => s.reshape(x, [-1, 4])).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => s.reshape(x, [-1, -1])).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => s.reshape(x, [-2, -3])).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => s.transpose(x, [0, 0])).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => s.transpose(x, [0, 2])).toThrow(withCode("AXIS_OUT_OF_RANGE"));
    expect(() => s.broadcastTo(x, [3, 3])).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => s.broadcastTo(x, [3])).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => s.sum(x, [2])).toThrow(withCode("AXIS_OUT_OF_RANGE"));
    expect(() => s.sum(c)).toThrow(withCode("DTYPE_MISMATCH"));
    expect(() => s.slice(x, 0, 1, 3)).toThrow(withCode("SLICE_OUT_OF_RANGE"));
    expect(() => s.slice(x, 0, 2, 1)).toThrow(withCode("SLICE_OUT_OF_RANGE"));
    expect(() => s.slice(x, 2, 0, 1)).toThrow(withCode("AXIS_OUT_OF_RANGE"));
    expect(() => s.pad(x, 0, -1, 0)).toThrow(withCode("PAD_NEGATIVE"));
    expect(() => s.concat([], 0)).toThrow(withCode("CONCAT_EMPTY"));
    expect(() => s.concat([x, input("y", float32(2, 4))], 0)).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => s.concat([x, c], 0)).toThrow(withCode("DTYPE_MISMATCH"));
    expect(() => s.concat([input("z", float32())], 0)).toThrow(withCode("AXIS_OUT_OF_RANGE"));
  });

  it("count axes from the end and an axis once", () => {
    const x = input("x", float32(2, 3, 4));
    expect(s.transpose(x, [-1, 0, 1]).shape).toEqual([4, 2, 3]);
    expect(grad(s.sum(s.transpose(x, [-1, 0, 1])), [x])[0]?.shape).toEqual([2, 3, 4]);
    expect(s.sum(x, [0, -3]).shape).toEqual([3, 4]);
    expect(s.sum(x, [0, -3], true).attrs.axes).toEqual([0]);
    expect(subDims(s.concat([x, x], -1).shape[2] as Dim, 8)).toBe(0);
  });

  it("leave no op of the file out", () => {
    expect([...structureOps].map((op) => op.name).filter((name) => !checker.covered.has(name))).toEqual([]);
  });
});

it("a pad between two transposes, which ONNX Runtime removes, still pads its axis", async () => {
  const swap = (x: Tensor) => s.transpose(x, [0, 2, 1]);
  const graph = trace({ x: float32("B", 2, 3) }, ({ x }) => ({ y: swap(s.pad(swap(x), 1, 1, 0)) }));
  using program = await compile(graph, { device, weights: new Map() });
  const { y } = await program.run({ x: floats([1, 2, 3, 4, 5, 6], [1, 2, 3]) });
  expect([...y.data]).toEqual([0, 1, 2, 3, 0, 4, 5, 6]);
});
