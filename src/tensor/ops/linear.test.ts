import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openCpu } from "../../runtime/device.node.ts";
import { compile } from "../../runtime/program.ts";
import { OpChecker } from "../../runtime/testing/checkOp.ts";
import { trace } from "../../runtime/trace.ts";
import { floats } from "../../runtime/values.ts";
import { addDims, type Dim, mulDims, symbol } from "../dims.ts";
import { grad, vectorJacobian } from "../grad.ts";
import { float32, input, type Tensor } from "../tensor.ts";
import { broadcastPairs, forAll, shapes, sizesOf, symbolsIn } from "../testing/arbitraries.ts";
import { mul } from "./elementwise.ts";
import * as l from "./linear.ts";
import { linearOps } from "./linear.ts";
import { sum, transpose } from "./structure.ts";

const device = await openCpu({ threads: 1 });
const checker = new OpChecker(device);
const withCode = (code: string) => expect.objectContaining({ code });

describe("matrix products", () => {
  it("multiply with every transposition over broadcast batches, differentiated twice", {
    timeout: 60_000,
  }, () => {
    const side = (name: string) => fc.constantFrom<Dim>(symbol(name), symbol(name), 1, 3);
    const cases = fc.tuple(broadcastPairs(3), side("M"), side("K"), side("N")).chain(([pair, m, k, n]) => {
      const batch = symbolsIn(pair.a, pair.b);
      // Empty sides come from M, K and N here: the runtime does not broadcast 1 against an empty batch.
      const runs = fc.tuple(sizesOf(symbolsIn([m, k, n]), 3), sizesOf(batch, 3));
      return fc.tuple(
        fc.constant({ ...pair, m, k, n }),
        runs.map(([inner, outer]) => inner.map((run, i) => ({ ...outer[i % 2], ...run }))),
      );
    });
    return forAll(cases, 20, ([{ a, b, m, k, n }, sizes]) =>
      checker.check(
        {
          inputs: {
            a: float32(...a, m, k),
            at: float32(...a, k, m),
            b: float32(...b, k, n),
            bt: float32(...b, n, k),
          },
          build: (x) => ({
            plain: l.matmul(x.a, x.b),
            left: l.matmul(x.at, x.b, true),
            right: l.matmul(x.a, x.bt, false, true),
            both: l.matmul(x.at, x.bt, true, true),
          }),
        },
        sizes,
      ),
    );
  });

  it("give zeros for every matrix of a batch when the inner side is empty", async () => {
    await checker.check(
      {
        inputs: {
          a: float32("B", 3, "K"),
          b: float32("B", "K", 2),
          q: float32("B", "L", 2),
          m: float32("B", "S", 2),
        },
        build: ({ a, b, q, m }) => ({
          product: l.matmul(a, b),
          cross: l.matmul(l.matmul(q, m, false, true), m),
        }),
      },
      [
        { B: 4, K: 0, L: 2, S: 0 },
        { B: 0, K: 3, L: 0, S: 2 },
        { B: 3, K: 2, L: 1, S: 1 },
      ],
    );
  });

  it("apply (out, in) weights to the last axis, with and without bias, differentiated twice", {
    timeout: 60_000,
  }, () => {
    const cases = shapes(0, 3).chain((shape) =>
      fc.tuple(fc.constant(shape), sizesOf([...symbolsIn(shape), "I", "O"], 4)),
    );
    return forAll(cases, 16, ([shape, sizes]) =>
      checker.check(
        {
          inputs: {
            x: float32(...shape, "I"),
            w: float32("O", "I"),
            bias: float32("O"),
            fixed: float32(3, "I"),
          },
          build: ({ x, w, bias, fixed }) => ({
            plain: l.linear(x, w),
            biased: l.linear(x, w, bias),
            narrow: l.linear(x, fixed),
          }),
        },
        sizes,
      ),
    );
  });

  it("refuse sides that do not meet", () => {
    const x = input("x", float32("B", 3));
    expect(() => l.matmul(x, x)).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => l.matmul(x, input("v", float32(3)))).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => l.matmul(input("p", float32(2, 3, 4)), input("q", float32(3, 4, 5)))).toThrow(
      withCode("SHAPE_MISMATCH"),
    );
    expect(() => l.linear(x, input("w", float32(2, 4)))).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => l.linear(x, input("w", float32(2, 3)), input("b", float32(3)))).toThrow(
      withCode("SHAPE_MISMATCH"),
    );
    expect(() => l.linear(x, input("w", float32(3)))).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => l.linear(input("s", float32()), input("w", float32(3, 1)))).toThrow(
      withCode("AXIS_OUT_OF_RANGE"),
    );
  });
});

const convCases = fc
  .record({
    stride: fc.constantFrom(1, 2),
    kernel: fc.tuple(fc.constantFrom(1, 3, 4), fc.constantFrom(1, 3, 4)),
    pads: fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2), fc.nat(2)),
    extra: fc.tuple(fc.nat(3), fc.nat(3)),
    channels: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
  })
  .map(({ extra, ...rest }) => {
    const side = (i: 0 | 1) =>
      Math.max(1, rest.kernel[i] - rest.pads[i] - (rest.pads[i + 2] ?? 0)) + extra[i];
    return { ...rest, height: side(0), width: side(1) };
  });

const transposes = (
  x: Tensor,
  w: Tensor,
  y: Tensor,
  g: Tensor,
): { inputGradient: Tensor; weightGradient: Tensor } => {
  const [inputGradient, weightGradient] = vectorJacobian([y], [g], [x, w]) as [Tensor, Tensor];
  return { inputGradient, weightGradient };
};

describe("convolutions", () => {
  it("hold all strides, kernels, pads and sides, differentiated twice", { timeout: 60_000 }, () =>
    forAll(convCases, 30, ({ stride, kernel, pads, channels, height, width }) =>
      checker.check(
        {
          inputs: {
            x: float32("B", channels[0], height, width),
            w: float32(channels[1], channels[0], ...kernel),
          },
          build: ({ x, w }) => ({ y: l.conv2d(x, w, { stride, pads }) }),
        },
        [{ B: 2 }, { B: 0 }],
      ),
    ),
  );

  it("have gradients that can be differentiated twice themselves", { timeout: 60_000 }, () =>
    forAll(convCases, 8, ({ stride, kernel, pads, channels, height, width }) => {
      const x = input("x", float32("B", channels[0], height, width));
      const w = input("w", float32(channels[1], channels[0], ...kernel));
      const { shape } = l.conv2d(x, w, { stride, pads });
      return checker.check(
        {
          inputs: { x: float32(...x.shape), w: float32(...w.shape), g: float32(...shape) },
          build: ({ x, w, g }) => transposes(x, w, l.conv2d(x, w, { stride, pads }), g),
        },
        [{ B: 2 }],
      );
    }),
  );

  it("take symbolic batch and sides", { timeout: 60_000 }, async () => {
    const [h, w] = [symbol("H"), symbol("W")];
    const sizes = [
      { B: 2, H: 3, W: 2 },
      { B: 1, H: 1, W: 4 },
      { B: 0, H: 2, W: 2 },
    ];
    await checker.check(
      {
        inputs: {
          x: float32("B", 2, "H", "W"),
          w: float32(1, 2, 3, 3),
          one: float32(2, 2, 1, 1),
          bias: float32(1),
        },
        build: ({ x, w, one, bias }) => ({
          same: l.conv2dBias(x, w, bias, { pads: [1, 1, 1, 1] }),
          point: l.conv2d(x, one),
        }),
      },
      sizes,
    );
    await checker.check(
      {
        inputs: {
          x: float32("B", 1, mulDims(2, h), addDims(mulDims(2, w), 1)),
          carrier: float32("H", "W"),
          w: float32(1, 1, 4, 4),
          v: float32(1, 1, 3, 3),
        },
        build: ({ x, w, v }) => ({
          halved: l.conv2d(x, w, { stride: 2, pads: [1, 1, 1, 1] }),
          three: l.conv2d(x, v, { stride: 2, pads: [1, 1, 1, 1] }),
        }),
      },
      sizes,
    );
  });

  it("over nothing but padding give the bias", async () => {
    await checker.check(
      {
        inputs: { x: float32(2, 4, "H", 3), w: float32(5, 4, 3, 1), bias: float32(5) },
        build: ({ x, w, bias }) => ({
          biased: l.conv2dBias(x, w, bias, { pads: [2, 0, 2, 0] }),
          plain: l.conv2d(x, w, { pads: [2, 0, 2, 0] }),
        }),
      },
      [{ H: 0 }, { H: 1 }],
    );
    await checker.check(
      {
        inputs: { x: float32(2, "C", 2, 2), w: float32(5, "C", 1, 1), bias: float32(5) },
        build: ({ x, w, bias }) => ({ channels: l.conv2dBias(x, w, bias) }),
      },
      [{ C: 0 }],
    );
  });

  it("refuse what does not fit", () => {
    const x = input("x", float32("B", 2, 2, 5));
    const w = input("w", float32(4, 2, 3, 3));
    expect(() => l.conv2d(x, w)).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => l.conv2d(x, input("v", float32(4, 3, 1, 1)))).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => l.conv2d(input("y", float32(2, 5)), w)).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => l.conv2dBias(x, w, input("b", float32(3)))).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => l.conv2d(x, w, { pads: [1, 1, 1, -1] })).toThrow(withCode("CONV_BAD_OPTIONS"));
    expect(() => l.conv2d(x, w, { stride: 0, pads: [1, 1, 1, 1] })).toThrow(withCode("CONV_BAD_OPTIONS"));
    const odd = input("z", float32("B", 2, "H", "W"));
    expect(() => l.conv2d(odd, w, { stride: 2 })).toThrow(withCode("DIM_NOT_STATIC"));
  });
});

describe("resizing by whole factors", () => {
  it("repeats and sums blocks, differentiated twice", { timeout: 60_000 }, () => {
    const cases = fc
      .tuple(shapes(4, 4), fc.integer({ min: 1, max: 3 }))
      .chain(([shape, factor]) => fc.tuple(fc.constant({ shape, factor }), sizesOf(symbolsIn(shape), 2)));
    return forAll(cases, 16, ([{ shape, factor }, sizes]) => {
      const [b, c, h, w] = shape as [Dim, Dim, Dim, Dim];
      return checker.check(
        {
          inputs: {
            x: float32(b, c, h, w),
            y: float32(b, c, mulDims(h, factor), mulDims(w, factor)),
          },
          build: ({ x, y }) => ({ up: l.upsampleNearest(x, factor), down: l.sumPool(y, factor) }),
        },
        sizes,
      );
    });
  });

  it("refuses sides that are no multiple and factors that are no number", () => {
    const x = input("x", float32(1, 1, 3, 4));
    expect(() => l.sumPool(x, 2)).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => l.sumPool(input("s", float32(3, 4)), 1)).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => l.upsampleNearest(input("s", float32(3, 4)), 2)).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => l.upsampleNearest(x, 0.5)).toThrow(withCode("RESIZE_BAD_FACTOR"));
  });
});

it("products and convolutions have a lowering without kernels that WebGPU lacks", async () => {
  const portable = new OpChecker({ ...device, provider: "webgpu" });
  await portable.check(
    {
      inputs: {
        a: float32("A", 1, "M", "K"),
        at: float32("K", "M"),
        bt: float32("A", 2, 3, "K"),
        wide: float32(2, "M"),
      },
      build: ({ a, at, bt, wide }) => ({
        right: l.matmul(a, bt, false, true),
        both: l.matmul(at, bt, true, true),
        flat: l.matmul(at, wide, false, true),
      }),
    },
    [
      { A: 2, M: 3, K: 3 },
      { A: 2, M: 1, K: 1 },
    ],
  );
  await portable.check(
    {
      inputs: { x: float32("B", 2, 5, 4), w: float32(2, 2, 3, 3) },
      build: ({ x, w }) => ({
        same: l.conv2d(x, w, { pads: [1, 1, 1, 1] }),
        halved: l.conv2d(x, w, { stride: 2, pads: [0, 1, 1, 0] }),
      }),
    },
    [{ B: 2 }],
  );
});

it("leave no op of the file out", () => {
  expect([...linearOps].map((op) => op.name).filter((name) => !checker.covered.has(name))).toEqual([]);
});

it.each([
  ["", device],
  [", lowered for WebGPU", { ...device, provider: "webgpu" as const }],
])(
  "a convolution's weight gradient is the same of a picture that is transposed on its way%s",
  async (_, device) => {
    const specs = { weight: float32(2, 3, 3, 3) };
    const gradient = (x: Tensor, weight: Tensor) => {
      const y = l.conv2d(x, weight, { pads: [1, 1, 1, 1] });
      return { g: grad(sum(mul(y, y)), [weight])[0] as Tensor };
    };
    const data = Float32Array.from({ length: 120 }, (_, i) => Math.sin(i));
    const weight = floats(
      Float32Array.from({ length: 54 }, (_, i) => Math.cos(i)),
      [2, 3, 3, 3],
    );
    const swapped = Float32Array.from({ length: 120 }, (_, i) => {
      const [n, y, x, c] = [Math.floor(i / 60), Math.floor((i % 60) / 15), Math.floor((i % 15) / 3), i % 3];
      return data[((n * 3 + c) * 4 + y) * 5 + x] as number;
    });
    const plain = trace({ x: float32(2, 3, 4, 5), ...specs }, ({ x, weight: w }) => gradient(x, w));
    const turned = trace({ x: float32(2, 4, 5, 3), ...specs }, ({ x, weight: w }) =>
      gradient(transpose(x, [0, 3, 1, 2]), w),
    );
    using one = await compile(plain, { device });
    using other = await compile(turned, { device });
    const { g: wanted } = await one.run({ x: floats(data, [2, 3, 4, 5]), weight });
    const { g } = await other.run({ x: floats(swapped, [2, 4, 5, 3]), weight });
    for (const [i, value] of wanted.data.entries()) expect(g.data[i]).toBeCloseTo(Number(value), 3);
  },
);
