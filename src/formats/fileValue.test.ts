/** Weights that stay in their file: the same numbers as in memory, on devices that open files and on those that don't. */
import { copyFileSync, mkdtempSync, realpathSync, renameSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openCpu } from "../runtime/device.node.ts";
import type { SessionOptions } from "../runtime/device.ts";
import { compile, exportOnnx } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { floats, isFileBacked, type Value } from "../runtime/values.ts";
import { openWasm } from "../runtime/wasm.node.ts";
import { add } from "../tensor/ops/elementwise.ts";
import { linear } from "../tensor/ops/linear.ts";
import { RandomStream } from "../tensor/random.ts";
import { float32, input } from "../tensor/tensor.ts";
import { FileValue } from "./fileValue.node.ts";
import { convertFloats, hostTensor, toFloat32 } from "./hostTensor.ts";
import { openSafetensors, writeSafetensorsFile } from "./safetensors.node.ts";

const withCode = (code: string) => expect.objectContaining({ code });
const folder = realpathSync(mkdtempSync(join(tmpdir(), "nextx-file-value-")));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const shapes = { "layer.weight": [64, 48], "layer.bias": [64] } as const;
const graph = () =>
  trace({ x: float32("B", 48) }, ({ x }) => ({
    y: add(linear(x, input("layer.weight", float32(64, 48))), input("layer.bias", float32(64))),
  }));
const x = floats(RandomStream.from(2, "x").normals(96, 1), [2, 48]);

describe.each(["F32", "F16", "BF16"] as const)("%s weights in a file", async (dtype) => {
  const path = join(folder, `${dtype}.safetensors`);
  const stored = new Map(
    Object.entries(shapes).map(([name, shape]) => {
      const count = shape.reduce<number>((a, b) => a * b, 1);
      const values = RandomStream.from(1, name)
        .normals(count, 1)
        .map((value, i) => (i % 7 === 0 ? value * 1e-6 : value));
      return [name, convertFloats(hostTensor("F32", shape, values), dtype)];
    }),
  );
  const memory = new Map<string, Value>(
    [...stored].map(([name, tensor]) => [name, floats(toFloat32(tensor), tensor.shape)]),
  );
  await writeSafetensorsFile(path, {
    tensors: new Map(Object.entries(shapes).map(([name, shape]) => [name, { dtype, shape }])),
    read: async (name: string) => stored.get(name) as ReturnType<typeof convertFloats>, // announced just now
  });
  await using file = await openSafetensors(path);
  const onDisk = new Map([...memory.keys()].map((name) => [name, new FileValue(file, name)]));

  it("have the numbers of the file", () => {
    for (const [name, { data, shape }] of memory) {
      expect(onDisk.get(name)?.data).toEqual(data);
      expect(onDisk.get(name)?.shape).toEqual(shape);
      expect(isFileBacked(onDisk.get(name) as Value)).toBe(true);
    }
  });

  it.each(["cpu", "wasm"] as const)(
    "give the same program on %s; only the CPU opens the file itself",
    async (name) => {
      const opened = await (name === "cpu" ? openCpu({ threads: 1 }) : openWasm({ threads: 1 }));
      const seen: { size: number; options: SessionOptions }[] = [];
      const device: typeof opened = {
        ...opened,
        createSession: (model, options) => {
          seen.push({ size: model.byteLength, options });
          return opened.createSession(model, options);
        },
      };
      for (const prepack of [true, false]) {
        using inside = await compile(graph(), { device, weights: memory, prepack });
        using outside = await compile(graph(), { device, weights: onDisk, prepack });
        expect((await outside.run({ x })).y.data).toEqual((await inside.run({ x })).y.data);
      }
      const [inside, outside] = [seen[0], seen[1]];
      expect(outside?.options.folder).toBe(name === "cpu" ? folder : undefined);
      const weightBytes = 4 * 64 * 48;
      expect((inside?.size ?? 0) - (outside?.size ?? 0) > weightBytes / 2).toBe(name === "cpu");
    },
    60_000,
  );

  it("are written into an exported model", () => {
    expect(exportOnnx(graph(), onDisk)).toEqual(exportOnnx(graph(), memory));
  });

  it.each(["cpu", "wasm"] as const)(
    "are refused on %s when another file of the size stands there",
    async (name) => {
      const device = await (name === "cpu" ? openCpu({ threads: 1 }) : openWasm({ threads: 1 }));
      const moved = `${path}.${name}`;
      copyFileSync(path, moved);
      await using before = await openSafetensors(moved);
      const values = new Map([...memory.keys()].map((name) => [name, new FileValue(before, name)]));
      using _ = await compile(graph(), { device, weights: values });
      copyFileSync(path, `${moved}.new`);
      renameSync(`${moved}.new`, moved);
      await expect(compile(graph(), { device, weights: values })).rejects.toThrow(withCode("FILE_CHANGED"));
      rmSync(moved);
      await expect(compile(graph(), { device, weights: values })).rejects.toThrow(withCode("FILE_NOT_FOUND"));
    },
  );

  it("are refused when the file is another one", () => {
    truncateSync(path, 1000);
    expect(() => onDisk.get("layer.weight")?.data).toThrow(withCode("FILE_CHANGED"));
  });
});
