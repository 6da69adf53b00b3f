import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { InferenceSession } from "onnxruntime-node";
import { expect, test, vi } from "vitest";
import { NextxError } from "../tensor/errors.ts";
import { grad } from "../tensor/grad.ts";
import { add, mul } from "../tensor/ops/elementwise.ts";
import { conv2d, linear, matmul } from "../tensor/ops/linear.ts";
import { gelu } from "../tensor/ops/neural.ts";
import { concat, sum } from "../tensor/ops/structure.ts";
import { RandomStream } from "../tensor/random.ts";
import { float32, int32, type Tensor } from "../tensor/tensor.ts";
import { type DeviceOptions, openDevice } from "./device.node.ts";
import type { Device } from "./device.ts";
import { compile } from "./program.ts";
import { trace } from "./trace.ts";
import { DeviceValue, elementCount, floats, freeValues, ints } from "./values.ts";

test("a device that is not one is refused by name", async () => {
  await expect(openDevice({ device: "wegpu" })).rejects.toMatchObject({
    code: "DEVICE_UNKNOWN",
    path: "device",
    hint: expect.stringContaining("webgpu"),
  });
  await expect(openDevice({ threads: 0 })).rejects.toMatchObject({ code: "DEVICE_BAD_THREADS" });
});

/** The device, or the error that says why there is none here. */
async function opened(options: DeviceOptions): Promise<Device | NextxError> {
  try {
    return await openDevice(options);
  } catch (error) {
    if (error instanceof NextxError) return error;
    throw error;
  }
}

test("CUDA computes, or says what is missing", async () => {
  const cuda = await opened({ device: "cuda" });
  if (cuda instanceof NextxError) {
    expect(cuda).toMatchObject({ code: "DEVICE_UNAVAILABLE", hint: expect.stringContaining("CUDA") });
  } else expect(await farthest(cuda)).toBeLessThan(1e-5);
});

async function layer(device: Device): Promise<Float32Array> {
  const graph = trace({ x: float32(4, 8), w: float32(8, 8) }, ({ x, w }) => ({ y: gelu(linear(x, w)) }));
  using program = await compile(graph, { device });
  const stream = RandomStream.from(0, "test");
  const draw = (rows: number) => floats(stream.normals(rows * 8, 1), [rows, 8]);
  const { y } = await program.run({ x: draw(4), w: draw(8) });
  return y.data as Float32Array; // a float32 graph
}

/** Largest difference between a device's numbers and the CPU's. */
async function farthest(device: Device): Promise<number> {
  const [a, b] = [await layer(device), await layer(await openDevice())];
  return Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? Number.NaN))));
}

/** The software driver of Debian's chromium stands in for a GPU. */
const driver = "/usr/lib/chromium/vk_swiftshader_icd.json";

async function softwareGpu(): Promise<Device | NextxError> {
  process.env.VK_DRIVER_FILES = driver;
  process.env.VK_ICD_FILENAMES = driver;
  return opened({ device: "webgpu" });
}

test.runIf(existsSync(driver))("WebGPU in Node gives the CPU's numbers", async ({ skip }) => {
  const gpu = await softwareGpu();
  if (gpu instanceof NextxError) {
    expect(gpu.code).toBe("DEVICE_UNAVAILABLE");
    return skip("no Vulkan loader on this machine");
  }
  expect(gpu).toMatchObject({ provider: "webgpu", runtime: expect.stringContaining("webgpu") });
  expect(await farthest(gpu)).toBeLessThan(1e-5);
});

test.runIf(existsSync(driver))("a GPU's profile is whole once its program is disposed", async ({ skip }) => {
  const gpu = await softwareGpu();
  if (gpu instanceof NextxError) return skip("no Vulkan loader on this machine");
  const folder = mkdtempSync(join(tmpdir(), "nextx-profile-"));
  try {
    const graph = trace({ x: float32(4) }, ({ x }) => ({ y: gelu(x) }));
    {
      using program = await compile(graph, { device: gpu, profile: join(folder, "p") });
      await program.run({ x: floats([1, 2, 3, 4], [4]) });
    }
    const [file = ""] = readdirSync(folder);
    expect(JSON.parse(readFileSync(join(folder, file), "utf8"))).not.toHaveLength(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test.runIf(existsSync(driver))("what is kept stays on the GPU from run to run", async ({ skip }) => {
  const gpu = await softwareGpu();
  if (gpu instanceof NextxError) return skip("no Vulkan loader on this machine");
  const graph = trace({ x: float32("N"), past: float32("M") }, ({ x, past }) => ({
    total: sum(x, [0]),
    grown: concat([past, x], 0),
  }));
  using program = await compile(graph, { device: gpu, kept: ["grown"] });
  const none = floats([], [0]);
  const first = await program.run({ x: floats([1, 2], [2]), past: none });
  expect(first.grown).toBeInstanceOf(DeviceValue);
  expect(first.grown.shape).toEqual([2]);
  expect(() => first.grown.data).toThrow(expect.objectContaining({ code: "VALUE_ON_DEVICE" }));
  // a run may ask for less than before and leave sizes as they were
  const some = await program.run({ x: floats([3], [1]), past: first.grown }, new Map(), ["total"]);
  expect([...some.total.data]).toEqual([3]);
  const second = await program.run({ x: floats([3], [1]), past: first.grown });
  freeValues([first.grown]);
  using read = await compile(
    trace({ x: float32("N") }, ({ x }) => ({ y: mul(x, 2) })),
    { device: gpu },
  );
  expect([...(await read.run({ x: second.grown })).y.data]).toEqual([2, 4, 6]);
  await expect(read.run({ x: { ...floats([1], [1]), shape: [2] } })).rejects.toMatchObject({
    code: "PROGRAM_BAD_INPUT",
  });
  freeValues([second.grown]);
});

test("a device with one memory keeps nothing back, and is asked for no more than is wanted", async () => {
  const runtime = await import("onnxruntime-node");
  const run = vi.spyOn(
    (runtime.InferenceSession as unknown as { prototype: InferenceSession }).prototype,
    "run",
  );
  try {
    const graph = trace({ x: float32(2) }, ({ x }) => ({ y: mul(x, 2), z: add(x, 1) }));
    using program = await compile(graph, { device: await openDevice(), kept: ["y"] });
    expect([...(await program.run({ x: floats([1, 2], [2]) })).y.data]).toEqual([2, 4]);
    await program.run({ x: floats([1, 2], [2]) }, new Map(), ["z"]);
    expect(run.mock.calls.at(-1)?.[1]).toEqual(["z"]);
  } finally {
    run.mockRestore();
  }
});

test.runIf(existsSync(driver))(
  "many outputs leave the GPU together, and look as they do on the CPU",
  async ({ skip }) => {
    const gpu = await softwareGpu();
    if (gpu instanceof NextxError) return skip("no Vulkan loader on this machine");
    const graph = trace({ x: float32("N", 3), id: int32("N") }, ({ x, id }) => ({
      doubled: mul(x, 2), // of the batch's size
      loss: sum(x),
      columns: sum(x, [0]),
      id: mul(id, 2),
      squares: sum(mul(x, x), [0]),
      table: matmul(x, x, true),
      shifted: sum(add(x, 1), [0], true),
    }));
    const inputs = { x: floats([1, 2, 3, 4, 5, 6], [2, 3]), id: ints([3, 4], [2]) };
    const results = async (device: Device) => {
      using program = await compile(graph, { device });
      const all = await program.run(inputs);
      const some = await program.run(inputs, new Map(), ["id", "table"]);
      return { all, some };
    };
    const [ours, theirs] = [await results(gpu), await results(await openDevice())];
    expect(ours).toEqual(theirs);
    expect(Object.keys(ours.some)).toEqual(["id", "table"]);
  },
);

test.runIf(existsSync(driver))("gradients of stacked convolutions are the CPU's", async ({ skip }) => {
  const gpu = await softwareGpu();
  if (gpu instanceof NextxError) return skip("no Vulkan loader on this machine");
  const weight = float32(2, 2, 3, 3);
  const graph = trace({ x: float32(2, 2, 5, 4), first: weight, second: weight }, ({ x, first, second }) => {
    const pads = [1, 1, 1, 1] as const;
    const y = conv2d(conv2d(x, first, { pads }), second, { pads, stride: 1 });
    const [a, b] = grad(sum(mul(y, y)), [first, second]);
    return { a: a as Tensor, b: b as Tensor }; // as many gradients
  });
  const stream = RandomStream.from(0, "test");
  const draw = (...shape: number[]) => floats(stream.normals(elementCount(shape), 1), shape);
  const inputs = { x: draw(2, 2, 5, 4), first: draw(2, 2, 3, 3), second: draw(2, 2, 3, 3) };
  const results = async (device: Device) => {
    using program = await compile(graph, { device });
    return await program.run(inputs);
  };
  const [ours, theirs] = [await results(gpu), await results(await openDevice())];
  for (const name of ["a", "b"] as const)
    for (const [i, value] of theirs[name].data.entries())
      expect(Math.abs((ours[name].data[i] as number) - (value as number))).toBeLessThan(1e-3);
});
