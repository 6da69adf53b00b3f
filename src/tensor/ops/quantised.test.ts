import { describe, expect, it } from "vitest";
import { openCpu } from "../../runtime/device.node.ts";
import { machineWeightBits } from "../../runtime/processor.node.ts";
import { compile } from "../../runtime/program.ts";
import { type OpCase, OpChecker, type Sizes } from "../../runtime/testing/checkOp.ts";
import { trace } from "../../runtime/trace.ts";
import { floats } from "../../runtime/values.ts";
import { grad } from "../grad.ts";
import { toInt4, toInt8 } from "../lowBits.ts";
import { RandomStream } from "../random.ts";
import { float32, input } from "../tensor.ts";
import { byteRange, int4Linear, int8Conv2d, int8Linear, quantisedOps } from "./quantised.ts";
import { sum } from "./structure.ts";

const device = await openCpu({ threads: 2 });
const checker = new OpChecker(device);
const withCode = (code: string) => expect.objectContaining({ code });
const random = RandomStream.from(5, "quantised");
const matrix = (rows: number, width: number) => random.normals(rows * width, 1);
/** Some processors overflow over weights of eight bits, which devices therefore do not give them. */
const bits = machineWeightBits();

describe("layers over weights of few bits", () => {
  const w = matrix(5, 40);
  const k = matrix(4, 3 * 9);
  async function check<N extends string>(
    one: OpCase<N>,
    sizes: readonly Sizes[] = [{ M: 3 }, { M: 1 }, { M: 0 }],
  ): Promise<void> {
    await checker.check({ ...one, derivatives: 0 }, sizes);
    const floats = new OpChecker({ ...device, provider: "webgpu" });
    await floats.check({ ...one, derivatives: 0 }, sizes.slice(0, 1));
  }
  const cases = {
    int8Linear: () =>
      check({
        inputs: { x: float32("M", 40) },
        build: ({ x }) => ({
          most: int8Linear(x, toInt8(w, [5, 40], bits)),
          seven: int8Linear(x, toInt8(w, [5, 40], 7)),
        }),
      }),
    int4Linear: () =>
      check({
        inputs: { x: float32("M", 40) },
        build: ({ x }) => ({ y: int4Linear(x, toInt4(w, [5, 40])) }),
      }),
    int8Conv2d: () =>
      check({
        inputs: { x: float32("M", 3, 6, 5), bias: float32(4) },
        build: ({ x, bias }) => {
          const ranges = { input: byteRange(-2, 3), output: byteRange(-11, 9) };
          const weight = toInt8(k, [4, 3, 3, 3], bits);
          return {
            same: int8Conv2d(x, weight, ranges, { pads: [1, 1, 1, 1] }),
            halved: int8Conv2d(x, weight, ranges, { stride: 2, pads: [0, 1, 1, 0] }),
            raised: int8Conv2d(x, weight, ranges, { pads: [1, 1, 1, 1], bias }),
          };
        },
      }),
  };

  it.each(Object.entries(cases))(
    "%s: what it means, empty too, and by float32 where integers lack",
    (_, run) => run(),
  );

  it("a convolution over nothing but padding gives its bias, as bytes hold it", async () => {
    const weight = toInt8(k, [4, 3, 3, 3], bits);
    const ranges = { input: byteRange(-2, 3), output: byteRange(-2, 2) };
    const one: OpCase<"x" | "bias"> = {
      inputs: { x: float32(2, 3, "H", 5), bias: float32(4) },
      build: ({ x, bias }) => ({
        raised: int8Conv2d(x, weight, ranges, { pads: [2, 0, 2, 0], bias }),
        zeros: int8Conv2d(x, weight, ranges, { pads: [2, 0, 2, 0] }),
      }),
    };
    await check(one, [{ H: 0 }, { H: 1 }]);
  });

  it("a bias beyond the integers stops at their end, on every provider", async () => {
    const weight = toInt8(k, [4, 3, 3, 3], bits);
    const ranges = { input: byteRange(-1e-9, 1e-9), output: byteRange(-50, 50) };
    const one: OpCase<"x" | "bias"> = {
      inputs: { x: float32("M", 3, 6, 5), bias: float32(4) },
      build: ({ x, bias }) => ({ y: int8Conv2d(x, weight, ranges, { bias }) }),
      draw: { bias: (_, i) => [1e20, -1e20, 30, -2e-6][i] as number },
    };
    await check(one);
  });

  it("a row's result does not depend on the rows beside it", async () => {
    const weight = toInt8(matrix(64, 96), [64, 96], 8);
    const graph = trace({ x: float32("M", 96) }, ({ x }) => ({ y: int8Linear(x, weight) }));
    using program = await compile(graph, { device });
    const rows = matrix(9, 96).map((v, i) => (i < 96 ? v : v * 50));
    const all = (await program.run({ x: floats(rows, [9, 96]) })).y.data;
    const alone = (await program.run({ x: floats(rows.slice(0, 96), [1, 96]) })).y.data;
    expect([...all.slice(0, 64)]).toEqual([...alone]);
  });

  it("rows of zeros give zeros", async () => {
    const graph = trace({ x: float32(2, 40) }, ({ x }) => ({ y: int8Linear(x, toInt8(w, [5, 40], 8)) }));
    using program = await compile(graph, { device });
    const { y } = await program.run({ x: floats(new Float32Array(80), [2, 40]) });
    expect([...y.data].every((v) => v === 0)).toBe(true);
  });

  it("refuse what does not fit, and gradients", () => {
    const x = input("x", float32(2, 39));
    expect(() => int8Linear(x, toInt8(w, [5, 40], 8))).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => int4Linear(x, toInt4(w, [5, 40]))).toThrow(withCode("SHAPE_MISMATCH"));
    const fits = input("x", float32(2, 40));
    expect(() => grad(sum(int8Linear(fits, toInt8(w, [5, 40], 8))), [fits])).toThrow(
      withCode("GRAPH_NO_GRADIENT"),
    );
  });

  it("leave no op of the file out", () => {
    expect([...quantisedOps].map((op) => op.name).filter((name) => !checker.covered.has(name))).toEqual([]);
  });
});
