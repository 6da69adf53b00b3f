import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openCpu } from "../runtime/device.node.ts";
import { compile } from "../runtime/program.ts";
import { toNd, toValue } from "../runtime/testing/checkOp.ts";
import { trace } from "../runtime/trace.ts";
import { floats, ints } from "../runtime/values.ts";
import type { Dim } from "./dims.ts";
import { topologicalOrder } from "./graph.ts";
import * as e from "./ops/elementwise.ts";
import { layerNorm } from "./ops/neural.ts";
import * as s from "./ops/structure.ts";
import { countNodes, simplify } from "./passes.ts";
import { RandomStream } from "./random.ts";
import {
  apply,
  bool,
  constant,
  constantData,
  constantValue,
  float32,
  input,
  int32,
  type Op,
  scalar,
  type Tensor,
  type TensorSpec,
} from "./tensor.ts";
import { forAll } from "./testing/arbitraries.ts";
import { type Nd, nd } from "./testing/ndarray.ts";
import { Reference } from "./testing/reference.ts";

const device = await openCpu({ threads: 1 });
const x = input("x", float32("B", 3));
const n = input("n", int32("B", 3));
const only = (y: Tensor): Tensor => simplify({ y }).y as Tensor;
const opNames = (y: Tensor): string[] => topologicalOrder([y]).map((node) => node.op.name);

const CONSTANTS = [0, -0, 1, -1, 2, 0.5, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
const specs = {
  x: float32("B", 3),
  y: float32(3),
  z: float32("B", 1),
  i: int32("B", 3),
  c: bool("B", 3),
} satisfies Record<string, TensorSpec>;

interface Step {
  readonly kind: number;
  readonly first: number;
  readonly second: number;
  readonly number: number;
}

type Rewrite = (a: Tensor, b: Tensor, step: Step, condition: Tensor) => Tensor;

const lastAxis = (a: Tensor): Dim => a.shape.at(-1) as Dim;
/** Ways to grow a graph; one that does not fit the tensors it meets throws and is skipped. */
const GROWTH: readonly Rewrite[] = [
  (a, b) => e.add(a, b),
  (a, b) => e.sub(a, b),
  (a, b) => e.mul(a, b),
  (a, b) => e.maximum(a, b),
  (a, b) => e.minimum(b, a),
  (a, _, { number }) => e.add(a, a.dtype === "int32" ? Math.sign(number || 0) | 0 : number),
  (a, _, { number }) => e.sub(a.dtype === "int32" ? 0 : number, a),
  (a, _, { number }) => e.mul(a, a.dtype === "int32" ? 1 : number),
  (a, _, { number }) => e.mul(e.mul(a, number), 0.5),
  (a, _, { number }) => e.mul(number, a),
  (a, _, { number }) => e.add(number, a),
  (a, _, { number }) => e.div(a, a.dtype === "int32" ? 1 : number || 1),
  (a, _, { number }) => e.add(a, constant(Float32Array.of(number), [1, 1])),
  (_, __, { number }) => e.mul(e.add(scalar(number), 2), constant(Float32Array.of(0.5), [1])),
  (a) => e.neg(e.neg(a)),
  (a) => e.neg(a),
  (a) => e.abs(a),
  (a, b) => s.broadcastTo(a, e.add(a, b).shape),
  (a, b) => s.broadcastTo(s.broadcastTo(a, e.add(a, b).shape), e.add(a, b).shape),
  (a) => s.reshape(a, [-1, 1]),
  (a) => s.reshape(s.reshape(a, [1, -1]), a.shape),
  (a) =>
    s.transpose(
      a,
      a.shape.map((_, i) => a.shape.length - 1 - i),
    ),
  (a) => s.slice(a, -1, 0, lastAxis(a)),
  (a) => s.slice(a, -1, 1, 2),
  (a, _, { second }) => s.pad(a, -1, second % 2, 0),
  (a, b) => s.concat([a, b, a], -1),
  (a, _, { second }) => s.sum(a, [second % a.shape.length], second % 2 === 0),
  (a) => s.cast(s.cast(a, "float32"), "float32"),
  (a, b, _, condition) => e.where(condition, a, b),
  (a) => s.stopGradient(a),
];

function grow(leaves: readonly Tensor[], steps: readonly Step[]): Tensor[] {
  const pool = [...leaves];
  const condition = leaves.find((leaf) => leaf.dtype === "bool") as Tensor; // one of the inputs
  const made: Tensor[] = [];
  for (const step of steps) {
    const pick = (at: number): Tensor => pool[pool.length - 1 - (at % Math.min(pool.length, 8))] as Tensor;
    try {
      const next = (GROWTH[step.kind] as Rewrite)(pick(step.first), pick(step.second), step, condition);
      if (next.shape.length > 4 || topologicalOrder([next]).length > 80) continue;
      pool.push(next);
      made.push(next);
    } catch {
      // shapes or types that do not meet
    }
  }
  return made.slice(-4);
}

const graphs = fc.record({
  steps: fc.array(
    fc.record({
      kind: fc.nat(GROWTH.length - 1),
      first: fc.nat(7),
      second: fc.nat(7),
      number: fc.constantFrom(...CONSTANTS),
    }),
    { minLength: 6, maxLength: 24 },
  ),
  seed: fc.nat(1000),
});

/** Values with zeros, infinities and NaN among them. */
function draw(seed: number, B: number): Record<keyof typeof specs, ReturnType<typeof toValue>> {
  const random = RandomStream.from(seed, "graph");
  const special = [0, 1, -1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const real = () => (random.integer(4) === 0 ? (special[random.integer(6)] as number) : random.normal());
  const list = (length: number, f: () => number) => Array.from({ length }, f);
  return {
    x: toValue("float32", list(B * 3, real), [B, 3]),
    y: toValue("float32", list(3, real), [3]),
    z: toValue("float32", list(B, real), [B, 1]),
    i: toValue(
      "int32",
      list(B * 3, () => random.integer(7) - 3),
      [B, 3],
    ),
    c: toValue(
      "bool",
      list(B * 3, () => random.integer(2)),
      [B, 3],
    ),
  };
}

/** NaN equals NaN, 0 equals -0, numbers up to the round-off of folded constants. */
function expectSame(got: Nd, want: Nd, label: string): void {
  expect(got.shape, label).toEqual(want.shape);
  want.data.forEach((value, i) => {
    const other = got.data[i] as number;
    const same =
      value === other ||
      (Number.isNaN(value) && Number.isNaN(other)) ||
      Math.abs(value - other) <= 1e-5 * Math.abs(value);
    if (!same) expect.fail(`${label}[${i}]: ${other}, expected ${value}`);
  });
}

describe("simplify", () => {
  it("never changes values of random graphs (reference, 400 graphs)", { timeout: 60_000 }, () =>
    forAll(graphs, 400, ({ steps, seed }) => {
      const leaves = Object.entries(specs).map(([name, spec]) => input(name, spec));
      const made = grow(leaves, steps);
      const plain = Object.fromEntries(made.map((tensor, i) => [`o${i}`, tensor]));
      const simple = simplify(plain);
      expect(countNodes(simple)).toBeLessThanOrEqual(countNodes(plain));
      expect(countNodes(simplify(simple))).toBe(countNodes(simple));
      for (const B of [2, 0]) {
        const feeds = new Map(Object.entries(draw(seed, B)).map(([name, value]) => [name, toNd(value)]));
        const want = new Reference(made, leaves).run(feeds);
        const got = new Reference(Object.values(simple), leaves).run(feeds);
        for (const [i, value] of want.entries()) expectSame(got[i] as Nd, value, `o${i}, B ${B}`);
      }
    }),
  );

  it("never changes what the runtime computes (30 graphs)", { timeout: 60_000 }, () =>
    forAll(graphs, 30, async ({ steps, seed }) => {
      const results = [];
      for (const flag of [true, false]) {
        const graph = trace(
          specs,
          (inputs) => {
            const leaves = Object.values(inputs);
            const made = grow(leaves, steps);
            return Object.fromEntries([...made, inputs.x].map((tensor, i) => [`o${i}`, tensor]));
          },
          { simplify: flag },
        );
        using program = await compile(graph, { device });
        results.push(await program.run(draw(seed, 3)));
      }
      const [simple, plain] = results;
      for (const [name, value] of Object.entries(plain ?? {})) {
        expectSame(toNd(simple?.[name] as typeof value), toNd(value), name);
      }
    }),
  );

  it("drops what changes nothing", () => {
    expect(only(e.add(x, 0))).toBe(x);
    expect(only(e.add(0, x))).toBe(x);
    expect(only(e.sub(x, 0))).toBe(x);
    expect(only(e.mul(1, x))).toBe(x);
    expect(only(e.div(x, 1))).toBe(x);
    expect(only(e.neg(e.neg(x)))).toBe(x);
    expect(only(e.add(n, 0))).toBe(n);
    expect(only(e.mul(n, 1))).toBe(n);
    expect(only(s.reshape(s.reshape(x, [-1]), x.shape))).toBe(x);
    expect(only(s.transpose(s.transpose(x, [1, 0]), [1, 0]))).toBe(x);
    expect(only(s.slice(x, 1, 0, 3))).toBe(x);
    const joined = s.concat([x, e.neg(x), e.exp(x)], 1);
    expect(only(s.slice(joined, 1, 0, 3))).toBe(x);
    expect(opNames(only(s.slice(joined, 1, 7, 9)))).toEqual(["input", "exp", "slice"]);
    expect(opNames(only(s.slice(joined, 1, 2, 5)))).toEqual(["input", "slice", "neg", "slice", "concat"]);
    expect(opNames(only(s.slice(joined, 1, 1, 8)))).toContain("exp"); // all are met
    expect(opNames(only(s.slice(s.concat([x, x], 0), 1, 0, 1)))).toEqual(["input", "concat", "slice"]); // another axis
    expect(only(s.pad(x, 1, 0, 0))).toBe(x);
    expect(only(s.cast(x, "float32"))).toBe(x);
    expect(only(s.sum(s.reshape(x, [...x.shape, 1]), [2]))).toBe(x);
    expect(opNames(only(e.sub(0, x)))).toEqual(["input", "neg"]);
    expect(opNames(only(e.add(s.broadcastTo(scalar(2), x.shape), x)))).toEqual(["constant", "input", "add"]);
    expect(only(e.add(x, constant(Float32Array.of(0), [1, 1, 1]))).shape).toEqual([1, ...x.shape]);
  });

  it("keeps what only looks like nothing", () => {
    expect(opNames(only(e.mul(x, 0)))).toContain("mul"); // NaN and infinity stay
    expect(opNames(only(e.mul(0, x)))).toContain("mul");
    expect(opNames(only(e.mul(x, -1)))).toContain("mul");
    expect(opNames(only(e.div(1, x)))).toContain("div");
    expect(opNames(only(e.sub(x, x)))).toContain("sub");
    expect(opNames(only(s.cast(s.cast(x, "int32"), "float32")))).toEqual(["input", "cast", "cast"]);
    expect(opNames(only(e.add(x, constant(Float32Array.of(0, 0, 0), [3]))))).toContain("add");
  });

  it("merges scales unless float32 could not hold their product", async () => {
    expect(opNames(only(e.mul(2, e.mul(x, 3)))).filter((name) => name === "mul")).toHaveLength(1);
    expect(opNames(only(e.mul(65537, e.mul(n, 65537)))).filter((name) => name === "mul")).toHaveLength(1);
    const graph = trace({ x: float32(1) }, ({ x }) => ({
      big: e.mul(1e25, e.mul(1e25, x)),
      small: e.mul(1e-25, e.mul(1e-25, e.mul(1e25, x))),
    }));
    using program = await compile(graph, { device });
    const { big, small } = await program.run({ x: floats([1e-20], [1]) });
    expect((big.data[0] as number) / 1e30).toBeCloseTo(1, 5); // 1e50 would be infinite
    expect((small.data[0] as number) / 1e-45).toBeCloseTo(1, 0); // 1e-50 would be zero
  });

  it("merges integer scales modulo 2^32", async () => {
    const [p, q] = [2147483647, 2147483629];
    const graph = trace({ n: int32(2) }, ({ n }) => ({ y: e.mul(p, e.mul(n, q)) }));
    using program = await compile(graph, { device });
    const { y } = await program.run({ n: ints([1, 3], [2]) });
    expect([...y.data]).toEqual([Math.imul(p, q), Math.imul(3, Math.imul(p, q))]);
  });

  it("keeps 0 and -0 apart down to the model", async () => {
    const graph = trace({ x: float32(1) }, ({ x }) => ({
      p: e.div(1, e.mul(x, 0)),
      m: e.div(1, e.mul(x, -0)),
    }));
    using program = await compile(graph, { device });
    const { p, m } = await program.run({ x: floats([2], [1]) });
    expect([p.data[0], m.data[0]]).toEqual([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  });

  it("folds scalar constants to float32", () => {
    const folded = only(e.mul(e.add(scalar(1), 2), e.exp(scalar(0.5))));
    expect(constantValue(folded)).toBe(Math.fround(3 * Math.fround(Math.exp(0.5))));
    expect(constantValue(only(e.div(scalar(1), 0)))).toBe(Number.POSITIVE_INFINITY);
    expect(constantValue(only(e.sub(scalar(Infinity), Infinity)))).toBeNaN();
    expect(only(e.add(constant(Float32Array.of(1), [1, 1]), 2)).shape).toEqual([1, 1]);
    expect(constantData(only(e.maximum(scalar(Number.NaN), 1)))?.[0]).toBeNaN();
  });

  it("computes equal expressions once and only what outputs reach", () => {
    const twice = e.add(e.tanh(e.mul(x, 2)), e.tanh(e.mul(x, 2)));
    expect(countNodes({ twice })).toBe(5);
    expect(countNodes(simplify({ twice }))).toBe(3);
    const norms = { a: layerNorm(x, 1e-5), b: layerNorm(x, 1e-6), c: layerNorm(x, 1e-5) };
    const simple = simplify(norms);
    expect(countNodes(simple)).toBe(2);
    expect(simple.a).toBe(simple.c);
    expect(Object.keys(simple)).toEqual(["a", "b", "c"]);
    const shapes = {
      a: s.reshape(x, [3, -1]),
      b: s.reshape(x, [-1, 3, 1]),
      c: s.slice(x, 1, 0, 1),
      d: s.slice(x, 1, 1, 2),
    };
    expect(countNodes(simplify(shapes))).toBe(4);
    const zeros = { p: e.div(1, e.mul(x, 0)), m: e.div(1, e.mul(x, -0)) };
    expect(countNodes(simplify(zeros))).toBe(4); // 0 and -0 are not the same constant
    expect(countNodes(simplify({ a: e.add(x, Number.NaN), b: e.add(x, Number.NaN) }))).toBe(1);
  });

  it("tells equal large constants apart only by identity", () => {
    const data = Float32Array.from({ length: 3 }, (_, i) => i);
    const same = { a: e.add(x, constant(data, [3])), b: e.add(x, constant(data, [3])) };
    expect(countNodes(simplify(same))).toBe(1);
    const other = { a: e.add(x, constant(data, [3])), b: e.add(x, constant(data, [1, 3])) };
    expect(countNodes(simplify(other))).toBe(2);
  });

  it("compares attributes of any plain form", () => {
    const op: Op<{ options: { scale: number } }> = {
      name: "options",
      infer: ([y]) => ({ shape: (y as Tensor).shape, dtype: "float32" }),
      gradient: () => [null],
      lower: () => "",
    };
    const scaled = (scale: number) => apply(op, [x], { options: { scale } });
    expect(
      countNodes(simplify({ a: scaled(1), b: scaled(2), c: scaled(1), d: scaled(0), e: scaled(-0) })),
    ).toBe(4);
  });

  it("is exact about the reference it is tested with", () => {
    const want = new Reference([e.add(x, 1)]).run(new Map([["x", nd([1, 2, 3], [1, 3])]]));
    expect([...(want[0] as Nd).data]).toEqual([2, 3, 4]);
  });
});
