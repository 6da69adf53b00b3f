import { expect, it } from "vitest";
import { add, square } from "../tensor/ops/elementwise.ts";
import { sum } from "../tensor/ops/structure.ts";
import { float32 } from "../tensor/tensor.ts";
import { runtimeError } from "./ortSession.ts";
import { compile } from "./program.ts";
import { trace } from "./trace.ts";
import { floats } from "./values.ts";
import { openWasm } from "./wasm.node.ts";

const graph = trace({ x: float32("N") }, ({ x }) => ({ y: add(sum(square(x)), 1) }));

it("computes in Node with threads, whose number is then fixed", async () => {
  const device = await openWasm({ threads: 2 });
  expect(device).toMatchObject({ provider: "wasm", threads: 2, runtime: "onnxruntime-web 1.30.0" });
  using program = await compile(graph, { device });
  expect((await program.run({ x: floats([1, 2], [2]) })).y.data[0]).toBe(6);
  await expect(openWasm({ threads: 1 })).rejects.toMatchObject({ code: "DEVICE_BAD_THREADS" });
  expect(await openWasm()).toMatchObject({ threads: 2 });
});

it.each([0, 1.5, 65])("refuses %s threads", async (threads) => {
  await expect(openWasm({ threads })).rejects.toMatchObject({ code: "DEVICE_BAD_THREADS", path: "threads" });
});

it("counts loaded models against the heap, and answers overlapping runs each on its own", async () => {
  const device = await openWasm();
  const before = device.availableMemoryBytes();
  const programs = await Promise.all([compile(graph, { device }), compile(graph, { device })]);
  expect(device.availableMemoryBytes()).toBeLessThan(before);
  const results = await Promise.all(programs.map((program, i) => program.run({ x: floats([i], [1]) })));
  expect(results.map(({ y }) => y.data[0])).toEqual([1, 2]);
  for (const program of programs) program[Symbol.dispose]();
  expect(device.availableMemoryBytes()).toBe(before);
});

it.each([
  [new Error("ERROR_CODE: 6, ERROR_MESSAGE: std::bad_alloc"), "RUNTIME_OUT_OF_MEMORY"],
  [new RangeError("Array buffer allocation failed"), "RUNTIME_OUT_OF_MEMORY"],
  [new WebAssembly.RuntimeError("unreachable"), "RUNTIME_FAILED"],
  [10733800, "RUNTIME_FAILED"],
])("gives %s the code %s", (cause, code) => {
  expect(runtimeError(cause, "The runtime failed")).toMatchObject({ code, cause });
});
