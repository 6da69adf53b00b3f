import { expect, it } from "vitest";
import { openCpu } from "../runtime/device.node.ts";
import type { Device } from "../runtime/device.ts";
import { trace } from "../runtime/trace.ts";
import { floats } from "../runtime/values.ts";
import { mul } from "../tensor/ops/elementwise.ts";
import { float32 } from "../tensor/tensor.ts";
import { ProgramStore } from "./programStore.ts";

const device = await openCpu({ threads: 1 });
const doubled = () => trace({ x: float32("N") }, ({ x }) => ({ y: mul(x, 2) }));
const x = floats([1, 2], [2]);

it("builds again what could not be built before, such as for want of memory", async () => {
  let failures = 1;
  const short: Device = {
    ...device,
    createSession: (model, options) =>
      failures-- > 0 ? Promise.reject(new Error("no memory")) : device.createSession(model, options),
  };
  using programs = new ProgramStore(new Map(), short);
  await expect(programs.run("double", doubled, { x })).rejects.toThrow("no memory");
  expect([...((await programs.run("double", doubled, { x })).y?.data ?? [])]).toEqual([2, 4]);
});

it("builds nothing once it was disposed, which nobody would free", async () => {
  const programs = new ProgramStore(new Map(), device);
  programs[Symbol.dispose]();
  await expect(programs.get("double", doubled)).rejects.toMatchObject({ code: "RUNTIME_DISPOSED" });
});
