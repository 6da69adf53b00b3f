import { describe, expect, it } from "vitest";
import { openCpu } from "../runtime/device.node.ts";
import { peakBytes } from "../runtime/memory.ts";
import { lowerToOnnx } from "../runtime/onnx.ts";
import { compile } from "../runtime/program.ts";
import { OpChecker } from "../runtime/testing/checkOp.ts";
import { trace } from "../runtime/trace.ts";
import { floats } from "../runtime/values.ts";
import { type Dim, mulDims, symbol } from "./dims.ts";
import { grad, vectorJacobian } from "./grad.ts";
import { topologicalOrder } from "./graph.ts";
import * as e from "./ops/elementwise.ts";
import { matmul } from "./ops/linear.ts";
import * as s from "./ops/structure.ts";
import { countNodes, simplify } from "./passes.ts";
import { float32, input, int32, type Tensor } from "./tensor.ts";

const device = await openCpu({ threads: 1 });
const checker = new OpChecker(device);

const countOps = (tensors: readonly Tensor[], name: string): number =>
  topologicalOrder(tensors).filter((node) => node.op.name === name).length;
const gradientOf = (build: (x: Tensor) => Tensor, ...shape: (Dim | string)[]): Tensor => {
  const x = input("x", float32(...shape));
  return grad(s.sum(build(x)), [x])[0] as Tensor;
};

describe("grad", () => {
  it("joins the gradients of slices that tile an axis", async () => {
    const tiled = (x: Tensor): Tensor => {
      const [a, b, c] = s.split(x, 1, [2, 1, 3]) as [Tensor, Tensor, Tensor];
      return e.add(e.add(s.sum(e.mul(c, c)), s.sum(e.exp(a))), s.sum(e.tanh(b)));
    };
    const g = gradientOf(tiled, "B", 6);
    expect([countOps([g], "concat"), countOps([g], "pad")]).toEqual([1, 0]);
    await checker.check({ inputs: { x: float32("B", 6) }, build: ({ x }) => ({ y: tiled(x) }) }, [
      { B: 2 },
      { B: 0 },
    ]);
  });

  it("joins symbolic tiles, some empty when the program runs", async () => {
    const n = symbol("n");
    const halves = (x: Tensor): Tensor => {
      const [a, b] = s.split(x, 0, [n, mulDims(2, n)]) as [Tensor, Tensor];
      return e.add(s.sum(e.mul(a, a)), s.sum(e.exp(b)));
    };
    const g = gradientOf(halves, mulDims(3, n), 2);
    expect([countOps([g], "concat"), countOps([g], "pad")]).toEqual([1, 0]);
    await checker.check(
      { inputs: { x: float32(mulDims(3, n), 2), n: float32("n") }, build: ({ x }) => ({ y: halves(x) }) },
      [{ n: 2 }, { n: 0 }],
    );
  });

  it("adds the gradients of slices that overlap, repeat or leave gaps", async () => {
    const cases: Record<string, (x: Tensor) => Tensor> = {
      overlap: (x) => e.mul(s.sum(s.slice(x, 0, 0, 3)), s.sum(e.exp(s.slice(x, 0, 2, 5)))),
      repeat: (x) => e.mul(s.sum(s.slice(x, 0, 0, 5)), s.sum(e.exp(s.slice(x, 0, 0, 5)))),
      twice: (x) => {
        const [a, b] = s.split(x, 0, [2, 3]) as [Tensor, Tensor];
        return e.add(s.sum(e.mul(a, a)), e.add(s.sum(e.exp(b)), s.sum(e.tanh(s.slice(x, 0, 0, 2)))));
      },
      gap: (x) => e.add(s.sum(e.exp(s.slice(x, 0, 0, 1))), s.sum(e.tanh(s.slice(x, 0, 3, 5)))),
      short: (x) => e.add(s.sum(e.exp(s.slice(x, 0, 0, 1))), s.sum(e.tanh(s.slice(x, 0, 1, 4)))),
      axes: (x) => e.mul(s.sum(e.exp(s.slice(x, 0, 0, 2))), s.sum(e.tanh(s.slice(x, 1, 1, 2)))),
      beside: (x) => e.add(s.sum(e.mul(x, x)), s.sum(e.exp(s.slice(x, 0, 0, 2)))),
      emptyTile: (x) => {
        const [a, b, c] = s.split(x, 0, [2, 0, 3]) as [Tensor, Tensor, Tensor];
        return e.add(s.sum(e.exp(a)), e.add(s.sum(b), s.sum(e.tanh(c))));
      },
    };
    await checker.check({
      inputs: { x: float32(5, 2) },
      build: ({ x }) => Object.fromEntries(Object.entries(cases).map(([name, f]) => [name, f(x)])),
    });
  });

  it("differentiates with respect to inputs and tensors on the way at once", async () => {
    const graph = trace({ x: float32(2), y: float32(2) }, ({ x, y }) => {
      const h = e.mul(x, y);
      const loss = s.sum(e.mul(h, h));
      const [dh, dx, dLoss] = grad(loss, [h, x, loss]) as [Tensor, Tensor, Tensor];
      return { dh, dx, dLoss };
    });
    using program = await compile(graph, { device });
    const { dh, dx, dLoss } = await program.run({ x: floats([1, 2], [2]), y: floats([3, 4], [2]) });
    expect([[...dh.data], [...dx.data], [...dLoss.data]]).toEqual([[6, 16], [18, 64], [1]]);
  });

  it("gives zeros for what the loss does not depend on, even alone in a program", async () => {
    const graph = trace({ x: float32("B", 2), unused: float32("N", 3) }, ({ x, unused }) => {
      const [dx, dUnused] = grad(s.sum(x), [x, unused]) as [Tensor, Tensor];
      return { dx, dUnused };
    });
    using program = await compile(graph, { device });
    const { dUnused } = await program.run({
      x: floats([1, 2], [1, 2]),
      unused: floats(new Float32Array(6), [2, 3]),
    });
    expect([dUnused.shape, [...dUnused.data]]).toEqual([
      [2, 3],
      [0, 0, 0, 0, 0, 0],
    ]);
  });

  it("sums over all uses of a tensor and over outputs", async () => {
    const x = input("x", float32(3));
    const [g] = vectorJacobian(
      [e.mul(x, 2), e.mul(x, 2), x],
      [input("a", float32(3)), input("b", float32(3)), x],
      [x],
    );
    const graph = trace({ a: float32(3), b: float32(3), x: float32(3) }, ({ a, b, x }) => ({
      g: vectorJacobian([e.mul(x, 2), e.mul(x, 3), x], [a, b, x], [x])[0] as Tensor,
    }));
    expect(g?.shape).toEqual([3]);
    using program = await compile(graph, { device });
    const ones = floats([1, 1, 1], [3]);
    expect([...(await program.run({ a: ones, b: ones, x: floats([0, 1, 2], [3]) })).g.data]).toEqual([
      5, 6, 7,
    ]);
  });

  it("does not compute gradients that nobody asked for", () => {
    const [x, w, v] = [input("x", float32("B", 4)), input("w", float32(4, 4)), input("v", float32(4, 4))];
    const loss = s.sum(matmul(e.tanh(matmul(x, w)), v));
    const [all] = [simplify({ g: grad(loss, [v])[0] as Tensor })];
    expect(countOps(Object.values(all), "matmul")).toBe(2); // forward up to v, and the gradient of v
  });

  it("refuses losses that are no scalar and tensors that are no float32", () => {
    const [x, n] = [input("x", float32(2)), input("n", int32(2))];
    expect(() => grad(x, [x])).toThrow(expect.objectContaining({ code: "GRAD_NOT_SCALAR" }));
    expect(() => grad(s.sum(n), [x])).toThrow(expect.objectContaining({ code: "GRAD_NOT_FLOAT" }));
    expect(() => grad(s.sum(x), [n])).toThrow(expect.objectContaining({ code: "GRAD_NOT_FLOAT" }));
    const wrong = () => vectorJacobian([x], [input("g", float32(3))], [x]);
    expect(wrong).toThrow(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
  });
});

describe("chains of 20,000 ops", () => {
  it("are traced, differentiated, simplified, lowered and measured without recursion", {
    timeout: 60_000,
  }, () => {
    const graph = trace({ x: float32("B") }, ({ x }) => {
      let y = x;
      for (let i = 0; i < 10_000; i++) y = e.add(e.tanh(y), x);
      return { y, g: grad(s.sum(y), [x])[0] as Tensor };
    });
    const outputs = Object.values<Tensor>(graph.outputs);
    expect(countNodes(graph.outputs)).toBeGreaterThan(40_000);
    expect(lowerToOnnx(graph, "cpu").nodeCount).toBeGreaterThan(40_000);
    expect(peakBytes(outputs, new Map([["B", 1]]))).toBeGreaterThan(40_000);
  });

  it("of reshapes, negations and stopped gradients too", { timeout: 60_000 }, () => {
    const x = input("x", float32("B", 2));
    let y: Tensor = x;
    for (let i = 0; i < 20_000; i++)
      y = i % 2 === 0 ? s.reshape(y, [-1]) : s.stopGradient(s.reshape(y, [-1, 2]));
    expect(peakBytes([y], new Map([["B", 1]]))).toBe(8);
    expect(simplify({ y }).y?.shape).toEqual(x.shape);
    let z: Tensor = x;
    for (let i = 0; i < 20_000; i++) z = e.neg(z);
    expect(simplify({ z }).z).toBe(x);
    let m: Tensor = x;
    for (let i = 0; i < 20_000; i++) m = e.mul(m, i % 2 === 0 ? 2 : 0.5);
    expect(simplify({ m }).m).toBe(x);
  });
});
