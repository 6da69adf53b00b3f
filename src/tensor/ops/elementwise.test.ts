import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openCpu } from "../../runtime/device.node.ts";
import { compile } from "../../runtime/program.ts";
import { OpChecker, type Tensors, toValue } from "../../runtime/testing/checkOp.ts";
import { trace } from "../../runtime/trace.ts";
import { floats } from "../../runtime/values.ts";
import { grad } from "../grad.ts";
import type { RandomStream } from "../random.ts";
import { bool, float32, int32, type Tensor, type TensorSpec } from "../tensor.ts";
import { broadcastPairs, forAll, shapes, sizesOf, symbolsIn } from "../testing/arbitraries.ts";
import { nd } from "../testing/ndarray.ts";
import { Reference } from "../testing/reference.ts";
import * as e from "./elementwise.ts";
import { elementwiseOps } from "./elementwise.ts";
import { sum } from "./structure.ts";

const device = await openCpu({ threads: 1 });
const checker = new OpChecker(device);
const SPECIAL = [
  0,
  -0,
  1,
  -1,
  0.5,
  -2.5,
  1e-30,
  -1e-30,
  1e30,
  -1e30,
  20,
  -20,
  90,
  -90,
  Infinity,
  -Infinity,
  NaN,
];

const arithmetic = { add: e.add, sub: e.sub, mul: e.mul, div: e.div, maximum: e.maximum, minimum: e.minimum };
const comparisons = { less: e.less, equal: e.equal };
const anywhere = {
  neg: e.neg,
  exp: e.exp,
  tanh: e.tanh,
  sigmoid: e.sigmoid,
  erf: e.erf,
  abs: e.abs,
  sign: e.sign,
};
const positive = { log: e.log, sqrt: e.sqrt };

const apart = (random: RandomStream): number =>
  (random.integer(2) * 2 - 1) * (0.3 + Math.abs(random.normal()));
const coarse = (random: RandomStream): number => random.integer(4) - 2;

function each<A extends readonly unknown[]>(
  functions: Readonly<Record<string, (...inputs: A) => Tensor>>,
  ...inputs: A
): Tensors {
  return Object.fromEntries(Object.entries(functions).map(([name, f]) => [name, f(...inputs)]));
}

/** Both sides of a comparison of one graph: the runtime's outputs and the reference's, entry by entry. */
async function compareEntries(
  specs: Readonly<Record<string, TensorSpec>>,
  build: (inputs: Tensors) => Tensors,
  feeds: Readonly<Record<string, readonly number[]>>,
): Promise<void> {
  let described: Tensors = {};
  const graph = trace(specs, (inputs) => {
    described = build(inputs);
    return described;
  });
  using program = await compile(graph, { device });
  const values = Object.fromEntries(
    Object.entries(specs).map(([name, { dtype }]) => {
      const data = feeds[name] as readonly number[];
      return [name, toValue(dtype, data, [data.length])];
    }),
  );
  const expected = new Reference(Object.values(described)).run(
    new Map(Object.entries(values).map(([name, { data, shape }]) => [name, nd(data, shape)])),
  );
  const actual = await program.run(values);
  for (const [i, name] of Object.keys(described).entries()) {
    expected[i]?.data.forEach((exact, j) => {
      const want = described[name]?.dtype === "float32" ? Math.fround(exact) : exact;
      const got = actual[name]?.data[j] as number;
      const close = got === want || (Number.isNaN(got) && Number.isNaN(want));
      const inputs = Object.values(feeds).map((data) => data[j]);
      // The runtime's logistic kernel saturates at +-18.
      const floor = name === "sigmoid" ? 2e-8 : 1e-12;
      if (!close && !(Math.abs(got - want) <= Math.max(floor, 1e-6 * Math.abs(want)))) {
        expect.fail(`${name}(${inputs}) is ${got}, expected ${want}`);
      }
    });
  }
}

describe("elementwise ops", () => {
  it("broadcast both sides, differentiate twice", { timeout: 60_000 }, () => {
    const cases = broadcastPairs(5).chain((pair) =>
      fc.tuple(fc.constant(pair), sizesOf(symbolsIn(pair.a, pair.b), 3)),
    );
    return forAll(cases, 24, ([{ a, b }, sizes]) =>
      checker.check(
        {
          inputs: { a: float32(...a), b: float32(...b) },
          build: (x) => each(arithmetic, x.a, x.b),
          draw: { b: apart },
        },
        sizes,
      ),
    );
  });

  it("compare and select, with ties, over float32 and int32", { timeout: 60_000 }, () => {
    const cases = broadcastPairs(4).chain((pair) =>
      fc.tuple(fc.constant(pair), sizesOf(symbolsIn(pair.a, pair.b), 3)),
    );
    return forAll(cases, 12, ([{ a, b }, sizes]) =>
      checker.check(
        {
          inputs: { a: float32(...a), b: float32(...b), m: int32(...a), n: int32(...b), c: bool(...b) },
          build: ({ a, b, c, m, n }) => ({
            ...each(comparisons, a, b),
            lessInt: e.less(m, n),
            equalInt: e.equal(m, n),
            equalBool: e.equal(c, e.less(m, 0)),
            where: e.where(c, a, b),
            whereScalar: e.where(e.less(m, n), a, 2),
            whereInt: e.where(c, m, n),
          }),
          draw: { a: coarse, b: coarse },
        },
        sizes,
      ),
    );
  });

  it("apply functions of one tensor, differentiate twice", { timeout: 60_000 }, () => {
    const cases = shapes(0, 5).chain((shape) => fc.tuple(fc.constant(shape), sizesOf(symbolsIn(shape), 3)));
    return forAll(cases, 20, ([shape, sizes]) =>
      checker.check(
        {
          inputs: { x: float32(...shape), p: float32(...shape) },
          build: ({ x, p }) => ({ ...each(anywhere, x), ...each(positive, p) }),
          draw: { x: apart, p: (random) => 0.2 + 2 * random.uniform() },
        },
        sizes,
      ),
    );
  });

  it("wrap around in int32 and take numbers exactly", async () => {
    const data = [0, 1, -1, 7, -7, 16777217, 2147483647, -2147483648];
    const pairs = data.flatMap((m) => data.map((n) => [m, n] as const));
    await compareEntries(
      { m: int32("N"), n: int32("N"), d: int32("N") },
      ({ m, n, d }) => {
        const { div: _, ...ring } = arithmetic;
        return {
          ...each(ring, m as Tensor, n as Tensor),
          div: e.div(m as Tensor, d as Tensor),
          negated: e.div(m as Tensor, -1),
          half: e.div(m as Tensor, 2),
          neg: e.neg(m as Tensor),
          abs: e.abs(m as Tensor),
          sign: e.sign(m as Tensor),
          large: e.add(m as Tensor, 16777217),
          largest: e.minimum(m as Tensor, 2147483647),
          scaled: e.mul(e.mul(m as Tensor, 65537), 65537),
        };
      },
      { m: pairs.map(([m]) => m), n: pairs.map(([, n]) => n), d: pairs.map(([, n]) => n || 3) },
    );
  });

  it("agree with the definitions on zeros, infinities and NaN", async () => {
    const pairs = SPECIAL.flatMap((a) => SPECIAL.map((b) => [a, b] as const));
    await compareEntries(
      { a: float32("N"), b: float32("N") },
      ({ a, b }) => each({ ...arithmetic, ...comparisons }, a as Tensor, b as Tensor),
      { a: pairs.map(([a]) => a), b: pairs.map(([, b]) => b) },
    );
    await compareEntries({ x: float32("N") }, ({ x }) => each({ ...anywhere, ...positive }, x as Tensor), {
      x: SPECIAL,
    });
  });

  it("send gradients of ties to the first operand, of |0| nowhere", async () => {
    const graph = trace({ a: float32("N"), b: float32("N") }, ({ a, b }) => {
      const [maxA, maxB] = grad(sum(e.maximum(a, b)), [a, b]) as [Tensor, Tensor];
      const [minA, minB] = grad(sum(e.minimum(a, b)), [a, b]) as [Tensor, Tensor];
      const [abs] = grad(sum(e.abs(e.mul(a, 0))), [a]) as [Tensor];
      return { maxA, maxB, minA, minB, abs };
    });
    using program = await compile(graph, { device });
    const results = await program.run({ a: floats([1, 2, 2], [3]), b: floats([2, 2, 1], [3]) });
    const lists = Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, [...data]]));
    expect(lists).toEqual({
      maxA: [0, 1, 1],
      maxB: [1, 0, 0],
      minA: [1, 1, 0],
      minB: [0, 0, 1],
      abs: [0, 0, 0],
    });
  });

  it("keep NaN of the branch that where does not take out of value and gradient", async () => {
    const graph = trace({ x: float32("N") }, ({ x }) => {
      const safe = e.where(e.less(0, x), e.log(x), 0);
      return { y: safe, g: grad(sum(safe), [x])[0] as Tensor };
    });
    using program = await compile(graph, { device });
    const { y, g } = await program.run({ x: floats([-1, 1, 4], [3]) });
    expect([...y.data]).toEqual([0, 0, Math.fround(Math.log(4))]);
    expect([...g.data].map(Math.abs)).toEqual([0, 1, 0.25]);
  });

  it("refuse what they cannot mean", () => {
    const specs = { f: float32(2, 3), g: float32(2, 2), i: int32(2, 3), c: bool(2, 3) };
    trace(specs, ({ f, g, i, c }) => {
      expect(() => e.add(f, g)).toThrow(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
      const wrongTypes = [
        () => e.add(f, i),
        () => e.where(c, f, i),
        () => e.where(f, f, f),
        () => e.mul(i, 0.5),
        () => e.add(i, 2 ** 31),
        () => e.add(c, c),
        () => e.less(c, c),
        () => e.exp(i),
        () => e.neg(c),
      ];
      for (const wrong of wrongTypes)
        expect(wrong).toThrow(expect.objectContaining({ code: "DTYPE_MISMATCH" }));
      return { y: f };
    });
  });

  it("leave no op of the file out", () => {
    expect([...elementwiseOps].map((op) => op.name).filter((name) => !checker.covered.has(name))).toEqual([]);
  });
});
