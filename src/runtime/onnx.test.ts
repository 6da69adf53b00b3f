import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { addDims, symbol } from "../tensor/dims.ts";
import { grad } from "../tensor/grad.ts";
import { add, mul, neg, square } from "../tensor/ops/elementwise.ts";
import { gatherRows } from "../tensor/ops/gather.ts";
import { linear } from "../tensor/ops/linear.ts";
import { layerNorm, mean, silu, softmax } from "../tensor/ops/neural.ts";
import { broadcastTo, sum } from "../tensor/ops/structure.ts";
import { RandomStream } from "../tensor/random.ts";
import { constant, float32, input, int32, type Tensor } from "../tensor/tensor.ts";
import { openCpu } from "./device.node.ts";
import type { Device } from "./device.ts";
import { lowerToOnnx, type WeightSource } from "./onnx.ts";
import { compile, exportOnnx, weightBytes } from "./program.ts";
import { trace } from "./trace.ts";
import { bools, floats, ints, type Value } from "./values.ts";

const device = await openCpu({ threads: 1 });
const withCode = (code: string, path?: string) =>
  expect.objectContaining(path === undefined ? { code } : { code, path });
const values = (...shape: number[]): Value => {
  const length = shape.reduce((a, b) => a * b, 1);
  return floats(RandomStream.from(length, "values").normals(length), shape);
};
const list = (value: Value | undefined): number[] => [...(value?.data ?? [])];

/** A small network with every kind of parameter; weights are named as in a checkpoint. */
function network() {
  const weights = new Map<string, Value>([
    ["embed.weight", values(7, 6)],
    ["layer.weight", values(5, 6)],
    ["layer.bias", values(5)],
    ["mask", bools([true, false, true, true, false], [5])],
    ["offsets", ints([3, 1], [2])],
  ]);
  const weight = (name: string): Tensor => {
    const { data, shape } = weights.get(name) as Value;
    const dtype = data instanceof Float32Array ? "float32" : data instanceof Int32Array ? "int32" : "bool";
    return input(name, { dtype, shape });
  };
  const graph = trace({ ids: int32("B", 2) }, ({ ids }) => {
    const hidden = silu(layerNorm(gatherRows(weight("embed.weight"), add(ids, weight("offsets"))), 1e-5));
    const logits = linear(hidden, weight("layer.weight"), weight("layer.bias"));
    return { logits, p: softmax(logits), loss: mean(square(logits)) };
  });
  return { graph, weights, feeds: { ids: ints([0, 5, 3, 1, 2, 2], [3, 2]) } };
}

describe("weights", () => {
  it("give the same numbers as constants, packed or not, and as feeds", async () => {
    const { graph, weights, feeds } = network();
    using inside = await compile(graph, { device, weights });
    using plain = await compile(graph, { device, weights, prepack: false, arena: false });
    using outside = await compile(graph, { device });
    using mixed = await compile(graph, { device, weights: new Map([...weights].slice(0, 2)) });
    const expected = await outside.run(feeds, weights);
    for (const program of [inside, plain, mixed]) {
      const got = await program.run(feeds, weights);
      for (const name of ["logits", "p", "loss"] as const) {
        expect(got[name].shape).toEqual(expected[name].shape);
        list(got[name]).forEach((v, i) => {
          expect(v).toBeCloseTo(expected[name].data[i] as number, 5);
        });
      }
    }
    await expect(outside.run(feeds)).rejects.toThrow(withCode("PROGRAM_MISSING_INPUT"));
  });

  it("of the wrong shape, type or length are refused when compiling", async () => {
    const { graph, weights } = network();
    const bad: [string, Value][] = [
      ["layer.bias", values(6)],
      ["layer.bias", values(5, 1)],
      ["layer.bias", ints([1, 2, 3, 4, 5], [5])],
      ["offsets", floats([1, 2], [2])],
      ["layer.bias", { data: new Float32Array(4), shape: [5] }],
    ];
    for (const [name, value] of bad) {
      const compiled = compile(graph, { device, weights: new Map([...weights, [name, value]]) });
      await expect(compiled).rejects.toThrow(withCode("GRAPH_WEIGHT_SHAPE", name));
    }
  });

  it("may stay in a file beside the model, with their offset; other bounds are refused", async () => {
    const folder = mkdtempSync(join(tmpdir(), "nextx-external-"));
    try {
      const { graph, weights } = network();
      const file = new Float32Array(100).fill(99);
      const bias = weights.get("layer.bias") as Value; // a weight of the network
      file.set(bias.data as Float32Array, 7);
      writeFileSync(join(folder, "w.bin"), new Uint8Array(file.buffer));
      const place = { stored: "float32" as const, name: "w.bin", offset: 28, sizeBytes: 20 };
      const outside = (shape: readonly number[], sizeBytes: number) =>
        lowerToOnnx(
          graph,
          "cpu",
          new Map<string, WeightSource>([
            ...weights,
            ["layer.bias", { shape, file: { ...place, sizeBytes } }],
          ]),
        );
      const { bytes, feeds } = outside([5], 20);
      writeFileSync(join(folder, "m.onnx"), bytes);
      const session = await ort.InferenceSession.create(join(folder, "m.onnx"));
      const whole = await ort.InferenceSession.create(lowerToOnnx(graph, "cpu", weights).bytes);
      const inputs = Object.fromEntries(
        [...feeds].map(([name, { dtype, shape }]) => {
          const sides = shape.map((side) => (typeof side === "number" ? side : 2));
          const count = sides.reduce((a, b) => a * b, 1);
          const data = dtype === "int32" ? new Int32Array(count).fill(1) : new Float32Array(count).fill(0.5);
          return [name, new ort.Tensor(dtype as "float32", data as Float32Array, sides)]; // one of the two
        }),
      );
      const [got, expected] = [await session.run(inputs), await whole.run(inputs)];
      for (const name of Object.keys(expected)) expect(got[name]?.data).toEqual(expected[name]?.data);
      for (const [shape, size] of [
        [[6], 24],
        [[5], 24],
        [[10], 20],
      ] as const)
        expect(() => outside(shape, size)).toThrow(withCode("GRAPH_WEIGHT_SHAPE", "layer.bias"));
      const offsets = { shape: [2], file: { ...place, sizeBytes: 8 } };
      const integers = () =>
        lowerToOnnx(graph, "cpu", new Map<string, WeightSource>([...weights, ["offsets", offsets]]));
      expect(integers).toThrow(withCode("GRAPH_WEIGHT_SHAPE", "offsets"));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("may lie beside a model that would be too large, with constants of its graph and weights of a file", async () => {
    const w = values(64, 48);
    const given = { x: values(2, 48) };
    const graph = () =>
      trace({ x: float32("B", 48) }, ({ x }) => {
        const hidden = linear(x, input("w", float32(64, 48)), input("b", float32(64)));
        return { y: linear(hidden, constant(values(32, 64).data as Float32Array, [32, 64])) };
      });
    const b = values(64);
    using inside = await compile(graph(), { device, weights: new Map(Object.entries({ w, b })) });
    const expected = await inside.run(given);
    const source = {
      stored: "float32",
      folder: "/nowhere",
      name: "w",
      offset: 0,
      sizeBytes: 4 * 64 * 48,
    } as const;
    const stored = { ...w, source, requireSame: () => undefined }; // never opened: its numbers are handed over
    const seen: [model: number, parts: number[]][] = [];
    const narrow: Device = {
      ...device,
      maxInside: 1000,
      createSession: (model, options) => {
        seen.push([model.byteLength, options.parts?.map(({ bytes }) => bytes.byteLength) ?? []]);
        return device.createSession(model, options);
      },
    };
    const weights = new Map(Object.entries({ w: stored, b }));
    for (const prepack of [true, false]) {
      using beside = await compile(graph(), { device: narrow, weights, prepack });
      expect(await beside.run(given)).toEqual(expected);
    }
    for (const [model, parts] of seen) {
      expect(parts).toEqual([4 * 64 * 48, 4 * 32 * 64]);
      expect(model).toBeLessThan(2000);
    }
  });

  it("may be views into a larger buffer", async () => {
    const buffer = Float32Array.from({ length: 10 }, (_, i) => i);
    const graph = trace({ x: float32(3) }, ({ x }) => ({ y: mul(x, input("w", float32(3))) }));
    const w = floats(buffer.subarray(4, 7), [3]);
    using inside = await compile(graph, { device, weights: new Map([["w", w]]) });
    using outside = await compile(graph, { device });
    const x = floats([1, 1, 2], [3]);
    expect(list((await inside.run({ x })).y)).toEqual([4, 5, 12]);
    expect(list((await outside.run({ x }, new Map([["w", w]]))).y)).toEqual([4, 5, 12]);
  });

  it("do not take part in a training step that updates them in another program", async () => {
    const graph = trace({ x: float32("N", 3) }, ({ x }) => {
      const w = input("w", float32(1, 3));
      const loss = mean(square(add(linear(x, w), -1)));
      return { loss, "gradient:w": grad(loss, [w])[0] as Tensor };
    });
    using program = await compile(graph, { device });
    const w = new Float32Array(3);
    const weights = new Map([["w", floats(w, [1, 3])]]);
    const x = values(8, 3);
    const losses: number[] = [];
    for (let step = 0; step < 30; step++) {
      const result = await program.run({ x }, weights);
      losses.push(result.loss.data[0] as number);
      result["gradient:w"].data.forEach((g, i) => {
        w[i] = (w[i] as number) - 0.1 * g;
      });
    }
    expect(losses.at(-1) as number).toBeLessThan((losses[0] as number) * 0.9);
  });

  it("of weights counts every parameter", () => {
    const { graph } = network();
    expect(weightBytes(graph)).toBe(4 * (42 + 30 + 5 + 2));
  });
});

describe("an exported file", () => {
  it("loads in onnxruntime and gives the same numbers", async () => {
    const { graph, weights, feeds } = network();
    using program = await compile(graph, { device });
    const expected = await program.run(feeds, weights);
    const session = await ort.InferenceSession.create(exportOnnx(graph, weights));
    expect([session.inputNames, session.outputNames]).toEqual([["ids"], ["logits", "p", "loss"]]);
    const ids = new ort.Tensor("int32", feeds.ids.data as Int32Array, feeds.ids.shape);
    const got = await session.run({ ids });
    for (const name of ["logits", "p", "loss"] as const) {
      expect(got[name]?.dims).toEqual(expected[name].shape);
      const { data } = got[name] as ort.Tensor; // named above
      for (const [i, v] of (data as Float32Array).entries()) {
        expect(v).toBeCloseTo(expected[name].data[i] as number, 5);
      }
    }
    await session.release();
  });

  it("holds only what its outputs need", () => {
    const { graph, weights } = network();
    const text = new TextDecoder("latin1").decode(exportOnnx(graph, weights));
    expect(text).toContain("embed.weight");
    expect(text).not.toContain("mask");
  });

  it("keeps names of inputs and outputs whatever they are", async () => {
    const graph = trace({ v0: float32(1), c0: float32(1), "a b/c.d:é": float32(1) }, (x) => ({
      v1: add(x.v0, 1),
      c1: add(add(x.c0, 2), x["a b/c.d:é"]),
      constructor: add(x.v0, x.c0),
    }));
    using program = await compile(graph, { device });
    const one = floats([1], [1]);
    const results = await program.run({ v0: one, c0: one, "a b/c.d:é": one });
    expect([list(results.v1), list(results.c1), list(results.constructor as unknown as Value)]).toEqual([
      [2],
      [4],
      [2],
    ]);
  });

  it("may give outputs the names of inputs and weights, as a step of a loop does", async () => {
    const graph = trace({ total: float32("N"), "w.out": float32("N") }, ({ total, "w.out": other }) => {
      const w = input("w", float32(1));
      return { total: add(total, w), w: mul(w, 2), "w.out": neg(other), "total.out": mul(total, 0.5) };
    });
    const weights = new Map([["w", floats([3], [1])]]);
    for (const inside of [weights, undefined]) {
      using program = await compile(graph, { device, ...(inside && { weights: inside }) });
      const result = await program.run({ total: floats([1, 2], [2]), "w.out": floats([5, 6], [2]) }, weights);
      expect(Object.fromEntries(Object.entries(result).map(([name, value]) => [name, list(value)]))).toEqual({
        total: [4, 5],
        w: [6],
        "w.out": [-5, -6],
        "total.out": [0.5, 1],
      });
    }
    const session = await ort.InferenceSession.create(exportOnnx(graph, weights));
    expect(session.outputNames).toEqual(["total.out.out", "w.out.out", "w.out.out.out", "total.out"]);
    await session.release();
  });
});

describe("a graph", () => {
  it("refuses names that clash", () => {
    const clash = withCode("GRAPH_NAME_CLASH");
    const w = () => input("w", float32(2));
    expect(() => trace({ w: float32(2) }, ({ w: x }) => ({ y: add(x, w()) }))).toThrow(clash);
    expect(() => trace({ x: float32(2) }, ({ x }) => ({ y: add(add(x, w()), w()) }))).toThrow(clash);
  });

  it("with more weights inside than its format holds says what to do", () => {
    const part = floats(new Float32Array(2 ** 23), [2 ** 23]); // 32 MiB, never written to
    const names = Array.from({ length: 64 }, (_, i) => `w${i}`);
    const graph = trace({ x: float32(1) }, ({ x }) =>
      Object.fromEntries(names.map((name) => [`of ${name}`, add(x, input(name, float32(2 ** 23)))])),
    );
    const weights = new Map(names.map((name) => [name, part]));
    expect(() => lowerToOnnx(graph, "cpu", weights)).toThrow(
      expect.objectContaining({ code: "GRAPH_TOO_LARGE", hint: expect.stringContaining("--device cpu") }),
    );
  });

  it("refuses dims that no input carries", async () => {
    const lost = trace({ x: float32(addDims(symbol("n"), 1)) }, ({ x }) => ({
      y: broadcastTo(x, [symbol("k"), ...x.shape]),
    }));
    await expect(compile(lost, { device })).rejects.toThrow(withCode("GRAPH_UNBOUND_DIM"));
    const sideOnly = trace({ x: float32(addDims(symbol("n"), 1)) }, ({ x }) => ({ y: neg(x) }));
    await expect(compile(sideOnly, { device })).rejects.toThrow(withCode("GRAPH_UNBOUND_DIM"));
  });

  it("writes no scatter with a reduction to many rows", () => {
    const graph = trace({ ids: int32("N"), g: float32("N", 4) }, ({ ids, g }) => {
      const tables = [3, 5000].map((rows) => input(`table${rows}`, float32(rows, 4)));
      const loss = tables.map((table) => sum(mul(gatherRows(table, ids), g))).reduce((a, b) => add(a, b));
      return Object.fromEntries(grad(loss, tables).map((x, i) => [`g${i}`, x]));
    });
    for (const provider of ["cpu", "wasm", "webgpu"] as const) {
      const text = new TextDecoder("latin1").decode(lowerToOnnx(graph, provider).bytes);
      expect(text).not.toContain("ScatterND");
    }
  });
});
