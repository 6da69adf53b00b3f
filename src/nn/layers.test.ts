import { expect, test } from "vitest";
import { openCpu } from "../runtime/device.node.ts";
import { compile } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { floats } from "../runtime/values.ts";
import { grad } from "../tensor/grad.ts";
import { sum } from "../tensor/ops/structure.ts";
import { float32, type Tensor } from "../tensor/tensor.ts";
import { attend } from "./layers.ts";

test("a query that sees no key gets zeros, and no gradient is NaN", async () => {
  const specs = { q: float32(2, 1), k: float32(2, 1), v: float32(2, 1), bias: float32(2, 2) };
  const graph = trace(specs, ({ q, k, v, bias }) => {
    const y = attend(q, k, v, 1, bias);
    const [dq, dv] = grad(sum(y), [q, v]) as [Tensor, Tensor];
    return { y, dq, dv };
  });
  using program = await compile(graph, { device: await openCpu({ threads: 1 }) });
  const { y, dq, dv } = await program.run({
    q: floats([1, 2], [2, 1]),
    k: floats([0, 0], [2, 1]),
    v: floats([3, 5], [2, 1]),
    bias: floats([0, 0, -1e9, -1e9], [2, 2]),
  });
  expect([...y.data]).toEqual([4, 0]);
  expect([...dq.data]).toEqual([0, 0]);
  expect([...dv.data]).toEqual([0.5, 0.5]);
});
