import { describe, expect, it } from "vitest";
import { symbol } from "../tensor/dims.ts";
import { grad } from "../tensor/grad.ts";
import { conv2d, linear, matmul } from "../tensor/ops/linear.ts";
import { mean } from "../tensor/ops/neural.ts";
import { float32, input } from "../tensor/tensor.ts";
import { counting, multiplyAdds, runMultiplyAdds } from "./cost.ts";
import { openCpu } from "./device.node.ts";
import { compile } from "./program.ts";
import { trace } from "./trace.ts";
import { floats } from "./values.ts";

const B = symbol("B");
const of = (...shape: (number | typeof B)[]) => input(`x${shape.map(String).join("-")}`, float32(...shape));

describe("multiply-adds", () => {
  it("of products follow their sides, transposed or not, and symbols", () => {
    const a = of(3, 4, 5);
    expect(multiplyAdds([matmul(a, of(3, 5, 6))])).toBe(3 * 4 * 5 * 6);
    expect(multiplyAdds([matmul(of(5, 4), of(5, 6), true)])).toBe(4 * 5 * 6);
    expect(multiplyAdds([linear(of(B, 7), of(2, 7))], new Map([["B", 10]]))).toBe(10 * 7 * 2);
  });

  it("of convolutions, and of both gradients, are equal at stride 1 without pads", () => {
    const [x, w] = [of(2, 3, 8, 8), of(4, 3, 1, 1)];
    const forward = multiplyAdds([conv2d(x, w)]);
    expect(forward).toBe(2 * 4 * 8 * 8 * 3);
    const [gx, gw] = grad(mean(conv2d(x, w)), [x, w]);
    if (!gx || !gw) throw new Error("two gradients");
    expect(multiplyAdds([gx])).toBe(forward);
    expect(multiplyAdds([gw])).toBe(forward);
  });

  it("count a shared node once", () => {
    const product = matmul(of(4, 4), of(4, 4));
    expect(multiplyAdds([product, mean(product)])).toBe(64);
  });

  it("of a run read the sizes of its inputs", () => {
    const graph = trace({ x: float32("B", "N", 4) }, ({ x }) => ({ y: matmul(x, x, false, true) }));
    const x = floats(new Float32Array(2 * 3 * 4), [2, 3, 4]);
    expect(runMultiplyAdds(graph, { x })).toBe(2 * 3 * 3 * 4);
    expect(() => runMultiplyAdds(graph, {})).toThrow(expect.objectContaining({ code: "DIM_UNBOUND" }));
  });

  it("of a device are those of the runs since it was asked", async () => {
    const { device, take } = counting(await openCpu({ threads: 1 }));
    const graph = trace({ x: float32("B", 4) }, ({ x }) => ({ y: matmul(x, x, false, true) }));
    using program = await compile(graph, { device });
    expect(take()).toBe(0);
    for (const rows of [2, 3]) await program.run({ x: floats(new Float32Array(rows * 4), [rows, 4]) });
    expect(take()).toBe(2 * 2 * 4 + 3 * 3 * 4);
    expect(take()).toBe(0);
  });
});
