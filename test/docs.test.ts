/** The program in docs/ENGINE.md runs and gives what it says. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { openCpu } from "../src/runtime/device.node.ts";
import { compile } from "../src/runtime/program.ts";
import { trace } from "../src/runtime/trace.ts";
import { floats } from "../src/runtime/values.ts";
import { symbol } from "../src/tensor/dims.ts";
import { grad } from "../src/tensor/grad.ts";
import { square } from "../src/tensor/ops/elementwise.ts";
import { sum } from "../src/tensor/ops/structure.ts";
import { opTable } from "../src/tensor/opTable.ts";
import { float32 } from "../src/tensor/tensor.ts";
import { opCases, webgpuGaps } from "./contract/opCases.ts";

it("docs/ENGINE.md's program gives 2, 4, 6", async () => {
  const graph = trace({ x: float32(symbol("N")) }, ({ x }) => {
    const loss = sum(square(x));
    const [gradient] = grad(loss, [x]);
    if (gradient === undefined) throw new Error("one gradient per input");
    return { loss, gradient };
  });
  using program = await compile(graph, { device: await openCpu({ threads: 2 }) });
  const { gradient } = await program.run({ x: floats([1, 2, 3], [3]) });
  expect([...gradient.data]).toEqual([2, 4, 6]);
  const text = readFileSync(new URL("../docs/ENGINE.md", import.meta.url), "utf8");
  for (const line of ["const loss = sum(square(x));", "grad(loss, [x])", "// 2, 4, 6"])
    expect(text).toContain(line);
});

it("docs/ENGINE.md lists what WebGPU leaves to the CPU", () => {
  const text = readFileSync(new URL("../docs/ENGINE.md", import.meta.url), "utf8");
  for (const name of Object.keys(webgpuGaps)) expect(text).toContain(`- ${name}`);
});

it("the contract has cases for every op, and for no other", () => {
  expect(Object.keys(opCases).sort()).toEqual([...opTable.keys()].sort());
});
