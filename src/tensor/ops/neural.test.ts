import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openCpu } from "../../runtime/device.node.ts";
import { compile } from "../../runtime/program.ts";
import { expectClose, OpChecker, toNd } from "../../runtime/testing/checkOp.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints } from "../../runtime/values.ts";
import { mulDims, symbol } from "../dims.ts";
import { grad } from "../grad.ts";
import { RandomStream } from "../random.ts";
import { float32, input, int32, type Tensor } from "../tensor.ts";
import { forAll, shapes, sizesOf, symbolsIn } from "../testing/arbitraries.ts";
import { Reference } from "../testing/reference.ts";
import { mul, square } from "./elementwise.ts";
import * as n from "./neural.ts";
import { neuralOps } from "./neural.ts";
import { reshape, sum } from "./structure.ts";

const device = await openCpu({ threads: 1 });
const checker = new OpChecker(device);
const withCode = (code: string) => expect.objectContaining({ code });

/** Leading axes, a static width, and sizes. */
const rowsOf = (maxRank: number, minWidth: number) =>
  fc
    .tuple(shapes(0, maxRank), fc.integer({ min: minWidth, max: 5 }))
    .chain(([shape, width]) => fc.tuple(fc.constant({ shape, width }), sizesOf(symbolsIn(shape), 3)));

describe("neural ops", () => {
  it(
    "softmax, crossEntropy, gelu, silu, l2Normalize and mean, differentiated twice",
    { timeout: 60_000 },
    () =>
      forAll(rowsOf(3, 1), 20, ([{ shape, width }, sizes]) =>
        checker.check(
          {
            inputs: { x: float32(...shape, width), ids: int32(...shape) },
            build: ({ x, ids }) => ({
              softmax: n.softmax(x),
              crossEntropy: n.crossEntropy(x, ids),
              geluTanh: n.gelu(x),
              geluExact: n.gelu(x, "none"),
              silu: n.silu(x),
              l2: n.l2Normalize(x),
              rowMean: n.mean(x, [-1]),
              rowMeanKept: n.mean(x, [-1], true),
            }),
            draw: { ids: (random) => random.integer(width) },
            tolerance: 5e-5,
          },
          sizes,
        ),
      ),
  );

  it("softmax over a symbolic width, empty or not", { timeout: 60_000 }, () =>
    checker.check({ inputs: { x: float32("B", "L", "L") }, build: ({ x }) => ({ y: n.softmax(x) }) }, [
      { B: 2, L: 3 },
      { B: 1, L: 1 },
      { B: 2, L: 0 },
      { B: 0, L: 2 },
    ]),
  );

  it("layerNorm, rowNorm and groupNorm, differentiated twice", { timeout: 60_000 }, async () => {
    await forAll(rowsOf(3, 2), 12, ([{ shape, width }, sizes]) =>
      checker.check(
        {
          inputs: { x: float32(...shape, width) },
          build: ({ x }) => ({ fine: n.layerNorm(x, 1e-5), coarse: n.layerNorm(x, 0.1) }),
          draw: { x: (random, i) => 1.5 * ((i * 7) % 5) + 0.4 * random.normal() },
          tolerance: 5e-5,
        },
        sizes,
      ),
    );
    await checker.check(
      {
        inputs: { x: float32("B", 4, "H", 3) },
        build: ({ x }) => ({
          two: n.groupNorm(x, 2, 1e-5),
          each: n.groupNorm(x, 4, 1e-3),
          all: n.groupNorm(x, 1, 1e-5),
        }),
        tolerance: 5e-5,
      },
      [
        { B: 2, H: 1 },
        { B: 1, H: 3 },
        { B: 0, H: 2 },
      ],
    );
  });

  it("means over symbolic axes, NaN when empty", { timeout: 60_000 }, () =>
    checker.check(
      {
        inputs: { x: float32("B", "L", 3) },
        build: ({ x }) => ({
          all: n.mean(x),
          first: n.mean(x, [0]),
          both: n.mean(x, [0, -2], true),
          none: n.mean(x, []),
          count: n.dimValue(mulDims(symbol("B"), symbol("L"), 3)),
        }),
        derivatives: 1,
      },
      [
        { B: 2, L: 3 },
        { B: 1, L: 1 },
      ],
    ),
  );

  it("gives NaN for an empty mean, and its dims at run time", async () => {
    const graph = trace({ x: float32("B", 3) }, ({ x }) => ({
      y: n.mean(x),
      count: n.dimValue(symbol("B")),
    }));
    using program = await compile(graph, { device });
    const { y, count } = await program.run({ x: floats([], [0, 3]) });
    expect([y.data[0], count.data[0]]).toEqual([Number.NaN, 0]);
    expect(n.mean(input("e", float32(0))).shape).toEqual([]);
  });

  it.each(["cpu", "webgpu"] as const)(
    "crossEntropy of logits in the thousands is finite and exact (%s kernels)",
    async (provider) => {
      let described: readonly Tensor[] = [];
      const graph = trace({ x: float32("N", 4), ids: int32("N") }, ({ x, ids }) => {
        const loss = n.crossEntropy(x, ids);
        const [g] = grad(sum(loss), [x]) as [Tensor];
        described = [loss, g, n.softmax(x)];
        return { loss, g, p: n.softmax(x) };
      });
      using program = await compile(graph, { device: { ...device, provider } });
      const x = floats(
        [5000, -5000, 0, 4999, -1e30, 1e30, 0, 0, 3e38, 3e38, -3e38, 0, -90, -90.5, -91, -95],
        [4, 4],
      );
      const ids = ints([1, 0, 1, 3], [4]);
      const results = await program.run({ x, ids });
      const expected = new Reference(described).run(
        new Map([
          ["x", toNd(x)],
          ["ids", toNd(ids)],
        ]),
      );
      for (const [i, name] of (["loss", "g", "p"] as const).entries()) {
        const want = expected[i];
        want?.data.forEach((value, j) => {
          const got = results[name].data[j] as number;
          expect(Math.abs(got - value), `${name}[${j}] ${got} ${value}`).toBeLessThanOrEqual(
            1e-6 * Math.max(1, Math.abs(value)),
          );
        });
      }
    },
  );

  it.each([0, 30, 1000])(
    "layerNorm and its gradient keep their accuracy around a mean of %d",
    async (mean) => {
      let described: readonly Tensor[] = [];
      const graph = trace({ x: float32("N", 64), g: float32("N", 64) }, ({ x, g }) => {
        const y = n.layerNorm(x, 1e-5);
        const rows = n.groupNorm(reshape(x, [-1, 1, 8, 8]), 1, 1e-5);
        described = [y, ...grad(sum(mul(y, g)), [x]), sum(square(rows))];
        return { y: described[0] as Tensor, dx: described[1] as Tensor, rows: described[2] as Tensor };
      });
      using program = await compile(graph, { device });
      const random = RandomStream.from(5, "layer norm");
      const x = floats(
        random.normals(256).map((v) => v + mean),
        [4, 64],
      );
      const g = floats(random.normals(256), [4, 64]);
      const { y, dx, rows } = await program.run({ x, g });
      const expected = new Reference(described).run(
        new Map([
          ["x", toNd(x)],
          ["g", toNd(g)],
        ]),
      );
      // float32 holds a value near 1000 to 3e-5
      const tolerance = 2e-6 + mean * 1e-7;
      expectClose(y, expected[0] as ReturnType<typeof toNd>, tolerance, "y");
      expectClose(dx, expected[1] as ReturnType<typeof toNd>, tolerance, "dx");
      expectClose(rows, expected[2] as ReturnType<typeof toNd>, tolerance, "rows");
    },
  );

  it("have a lowering without kernels that WebGPU lacks", () =>
    new OpChecker({ ...device, provider: "webgpu" }).check(
      {
        inputs: { x: float32("B", 3, 4), ids: int32("B", 3) },
        build: ({ x, ids }) => ({ crossEntropy: n.crossEntropy(x, ids), silu: n.silu(x) }),
        draw: { ids: (random) => random.integer(4) },
      },
      [{ B: 2 }, { B: 0 }],
    ));

  it("l2Normalize has a finite gradient at zero", async () => {
    const graph = trace({ x: float32("N", 3) }, ({ x }) => {
      const y = n.l2Normalize(x);
      return { y, g: grad(sum(y), [x])[0] as Tensor };
    });
    using program = await compile(graph, { device });
    const { y, g } = await program.run({ x: floats([0, 0, 0, 3, 0, 4], [2, 3]) });
    expect([...y.data].slice(0, 3)).toEqual([0, 0, 0]);
    expect([...g.data].every(Number.isFinite)).toBe(true);
  });

  it("refuse what they cannot mean", () => {
    const x = input("x", float32("B", 3));
    const ids = input("ids", int32("B"));
    const s = input("s", float32());
    for (const f of [n.softmax, (y: Tensor) => n.layerNorm(y, 1e-5)]) {
      expect(() => f(s)).toThrow(withCode("AXIS_OUT_OF_RANGE"));
      expect(() => f(ids)).toThrow(withCode("DTYPE_MISMATCH"));
    }
    expect(() => n.gelu(ids)).toThrow(withCode("DTYPE_MISMATCH"));
    expect(() => n.silu(ids)).toThrow(withCode("DTYPE_MISMATCH"));
    expect(() => n.crossEntropy(x, input("i", int32("B", 3)))).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => n.crossEntropy(x, input("f", float32("B")))).toThrow(withCode("DTYPE_MISMATCH"));
    expect(() => n.crossEntropy(s, ids)).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => n.groupNorm(input("p", float32("B", 3, 2, 2)), 2, 1e-5)).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => n.layerNorm(input("w", float32(2, "W")), 1e-5)).toThrow(withCode("DIM_NOT_STATIC"));
  });
});

it("leave no op of the file out", () => {
  expect([...neuralOps].map((op) => op.name).filter((name) => !checker.covered.has(name))).toEqual([]);
});
