import { expect, it } from "vitest";
import { openCpu } from "../../runtime/device.node.ts";
import { compile } from "../../runtime/program.ts";
import { OpChecker } from "../../runtime/testing/checkOp.ts";
import { trace } from "../../runtime/trace.ts";
import { floats } from "../../runtime/values.ts";
import { grad } from "../grad.ts";
import { float32, input, type Tensor } from "../tensor.ts";
import { sum } from "./structure.ts";
import { depthwiseConv2d, maxPool2d, windowOps } from "./window.ts";

const device = await openCpu({ threads: 1 });
const checker = new OpChecker(device);
const withCode = (code: string) => expect.objectContaining({ code });

it("maximum pooling, overlapping or not, at any batch, differentiated twice", async () => {
  await checker.check(
    {
      inputs: { x: float32("B", 3, 7, 6) },
      build: ({ x }) => ({ three: maxPool2d(x, 3, 2), two: maxPool2d(x, 2), one: maxPool2d(x, 1) }),
    },
    [{ B: 2 }, { B: 1 }, { B: 0 }],
  );
  await checker.check(
    { inputs: { x: float32(1, 1, "H", 4) }, build: ({ x }) => ({ y: maxPool2d(x, 2, 1) }) },
    [{ H: 2 }, { H: 5 }],
  );
});

it("gives equal values equal shares of the gradient", async () => {
  const graph = trace({ x: float32(1, 1, 2, 2) }, ({ x }) => ({
    dx: grad(sum(maxPool2d(x, 2)), [x])[0] as Tensor, // one gradient per input
  }));
  using program = await compile(graph, { device });
  const { dx } = await program.run({ x: floats([3, 3, 1, 0], [1, 1, 2, 2]) });
  expect([...dx.data]).toEqual([0.5, 0.5, 0, 0]);
});

it("depthwise convolutions with strides and pads, differentiated twice", { timeout: 60_000 }, async () => {
  await checker.check(
    {
      inputs: { x: float32("B", 3, 6, 5), w: float32(3, 1, 3, 3) },
      build: ({ x, w }) => ({
        plain: depthwiseConv2d(x, w),
        same: depthwiseConv2d(x, w, { pads: [1, 1, 1, 1] }),
        halved: depthwiseConv2d(x, w, { stride: 2, pads: [0, 0, 1, 1] }),
      }),
    },
    [{ B: 2 }, { B: 1 }, { B: 0 }],
  );
});

it("have a lowering without kernels that WebGPU lacks", async () => {
  const portable = new OpChecker({ ...device, provider: "webgpu" });
  await portable.check({
    inputs: { x: float32(2, 2, 4, 4), w: float32(2, 1, 3, 3) },
    build: ({ x, w }) => ({ pool: maxPool2d(x, 2), conv: depthwiseConv2d(x, w, { pads: [1, 1, 1, 1] }) }),
  });
});

it("refuse what they cannot do", () => {
  const x = input("x", float32(1, 3, 4, 4));
  expect(() => maxPool2d(x, 0)).toThrow(withCode("POOL_BAD_OPTIONS"));
  expect(() => maxPool2d(x, 5)).toThrow(withCode("SHAPE_MISMATCH"));
  expect(() => maxPool2d(input("x", float32(3, 4, 4)), 2)).toThrow(withCode("SHAPE_MISMATCH"));
  expect(() => depthwiseConv2d(x, input("w", float32(2, 1, 3, 3)))).toThrow(withCode("SHAPE_MISMATCH"));
  expect(() => depthwiseConv2d(x, input("w", float32(3, 2, 3, 3)))).toThrow(withCode("SHAPE_MISMATCH"));
  expect(() => depthwiseConv2d(x, input("w", float32(3, 1, 3, 2)))).toThrow(withCode("SHAPE_MISMATCH"));
});

it("leave no op of the file out", () => {
  expect([...windowOps].map((op) => op.name).filter((name) => !checker.covered.has(name))).toEqual([]);
});
