import { describe, expect, it } from "vitest";
import { mulDims, subDims, symbol } from "../tensor/dims.ts";
import { NextxError } from "../tensor/errors.ts";
import { add, div, exp, mul, neg } from "../tensor/ops/elementwise.ts";
import { gatherRows } from "../tensor/ops/gather.ts";
import { matmul } from "../tensor/ops/linear.ts";
import { broadcastTo, concat, pad, reshape, slice, stopGradient, sum } from "../tensor/ops/structure.ts";
import { RandomStream } from "../tensor/random.ts";
import {
  apply,
  bool,
  constant,
  float32,
  input,
  int32,
  type Op,
  scalar,
  type Tensor,
} from "../tensor/tensor.ts";
import { openCpu } from "./device.node.ts";
import type { Device, Session } from "./device.ts";
import { lowerToOnnx } from "./onnx.ts";
import { compile } from "./program.ts";
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

/** A device that computes nothing and notes what it is asked. */
function fakeDevice(availableMemoryBytes: number): { device: Device; runs: string[][] } {
  const runs: string[][] = [];
  const session: Session = {
    async run(_, outputs) {
      runs.push(outputs.map(([name]) => name));
      return Object.fromEntries(outputs.map(([name]) => [name, floats([], [0])]));
    },
    [Symbol.dispose]() {},
  };
  return {
    runs,
    device: {
      provider: "cpu",
      threads: 1,
      runtime: "fake",
      availableMemoryBytes: () => availableMemoryBytes,
      createSession: async () => session,
    },
  };
}

describe("inputs of a program", () => {
  const graph = trace(
    { x: float32("B", 3), y: float32("B"), n: int32("L"), c: bool("B") },
    ({ x, y, n, c }) => ({
      z: add(sum(x, [1]), y),
      m: add(n, 1),
      d: reshape(c, [-1, 1]),
    }),
  );
  const good = { x: values(2, 3), y: values(2), n: ints([1, 2, 3], [3]), c: bools([true, false], [2]) };
  const run = async (change: Record<string, unknown>) => {
    using program = await compile(graph, { device });
    return await program.run({ ...good, ...change } as typeof good);
  };

  it("that fit are computed", async () => {
    const { m, d } = await run({});
    expect([m, d]).toEqual([ints([2, 3, 4], [3]), bools([true, false], [2, 1])]);
  });

  it.each([
    ["x", values(2, 4), "side that is fixed"],
    ["x", values(6), "rank too low"],
    ["x", values(1, 2, 3), "rank too high"],
    ["x", floats([], []), "scalar without value"],
    ["x", floats([1], []), "scalar where the batch is read"],
    ["y", values(3), "batch that contradicts x"],
    ["x", values(3, 3), "batch that contradicts y"],
    ["x", ints([1, 2, 3, 4, 5, 6], [2, 3]), "int32 for float32"],
    ["n", values(3), "float32 for int32"],
    ["c", ints([0, 1], [2]), "int32 for bool"],
    ["x", { data: new Float64Array(6), shape: [2, 3] }, "an array of another kind"],
    ["x", { data: [1, 2, 3, 4, 5, 6], shape: [2, 3] }, "a plain array"],
    ["x", { data: new Float32Array(5), shape: [2, 3] }, "too few elements"],
    ["x", { data: new Float32Array(6), shape: [-2, -3] }, "negative sides"],
    ["n", { data: new Int32Array(1), shape: [0.5] }, "half a side"],
  ] as [string, unknown, string][])("%s: PROGRAM_BAD_INPUT (%#)", async (name, value) => {
    await expect(run({ [name]: value })).rejects.toThrow(withCode("PROGRAM_BAD_INPUT"));
  });

  it("name what was expected and what came", async () => {
    const wrong = run({ y: values(3) });
    await expect(wrong).rejects.toThrow('Input "y" must have shape [B] = [2], got [3].');
    await expect(wrong).rejects.toThrow(withCode("PROGRAM_BAD_INPUT", "y"));
  });

  it.each(["x", "y", "n", "c"])("%s missing: PROGRAM_MISSING_INPUT", async (name) => {
    await expect(run({ [name]: undefined })).rejects.toThrow(withCode("PROGRAM_MISSING_INPUT", name));
  });

  it("may be unused; then the compiled program does not want them", async () => {
    const half = trace({ x: float32("B"), unused: float32("B", "N") }, ({ x }) => ({ y: neg(x) }));
    expect([...lowerToOnnx(half, "cpu").feeds.keys()]).toEqual(["x"]);
    using program = await compile(half, { device });
    expect(list((await program.run({ x: floats([1], [1]) } as never)).y)).toEqual([-1]);
  });

  it("give only the outputs that are asked for", async () => {
    const both = trace({ x: float32("B"), past: float32("B", "M") }, ({ x, past }) => ({
      y: neg(x),
      grown: concat([past, broadcastTo(reshape(x, [symbol("B"), 1]), [symbol("B"), 1])], 1),
    }));
    using program = await compile(both, { device });
    const inputs = { x: floats([1, 2], [2]), past: values(2, 3) };
    const { y, ...others } = await program.run(inputs, new Map(), ["y"]);
    expect([list(y), Object.keys(others)]).toEqual([[-1, -2], []]);
    const empty = await program.run({ ...inputs, past: values(2, 0) }, new Map(), ["grown"]);
    expect([list(empty.grown), Object.keys(empty)]).toEqual([[1, 2], ["grown"]]);
  });

  it("and what the device added to the graph", async () => {
    const seen: string[] = [];
    const watching: Device = {
      ...device,
      prepare: (graph) => ({
        ...graph,
        outputs: { ...graph.outputs, added: neg(Object.values(graph.outputs)[0] as Tensor) },
      }),
      createSession: async (model, options) => {
        const session = await device.createSession(model, options);
        return {
          run: (feeds, outputs) => {
            seen.push(...outputs.map(([name]) => name));
            return session.run(feeds, outputs);
          },
          [Symbol.dispose]: () => session[Symbol.dispose](),
        };
      },
    };
    const two = trace({ x: float32("B") }, ({ x }) => ({ y: neg(x), z: exp(x) }));
    using program = await compile(two, { device: watching });
    await program.run({ x: floats([1], [1]) }, new Map(), ["z"]);
    expect(seen).toHaveLength(2);
    expect(seen).toContain("added");
  });

  it("bind symbols even when no value of theirs is used", async () => {
    const shaped = trace({ x: float32("B", "N"), like: float32("B", "M") }, ({ x, like }) => ({
      y: broadcastTo(sum(x, [1], true), like.shape),
      zeros: broadcastTo(scalar(0), [symbol("M")]),
    }));
    using program = await compile(shaped, { device });
    const { y, zeros } = await program.run({ x: floats([1, 2, 3, 4], [2, 2]), like: values(2, 3) });
    expect([list(y), zeros.shape]).toEqual([[3, 3, 3, 7, 7, 7], [3]]);
    const wrong = program.run({ x: floats([1, 2, 3, 4], [2, 2]), like: values(3, 3) });
    await expect(wrong).rejects.toThrow(withCode("PROGRAM_BAD_INPUT", "like"));
  });

  it("with sides that are expressions are checked against their symbols", async () => {
    const n = symbol("n");
    const even = trace({ n: float32("n"), x: float32(mulDims(2, n)) }, ({ n, x }) => ({
      y: add(x, concat([n, n], 0)),
    }));
    using program = await compile(even, { device });
    expect(list((await program.run({ n: floats([1], [1]), x: floats([1, 2], [2]) })).y)).toEqual([2, 3]);
    const odd = program.run({ n: values(2), x: values(3) });
    await expect(odd).rejects.toThrow('Input "x" must have shape [2*n] = [4], got [3].');
  });

  it("cannot be named or sized in ways that mean nothing", () => {
    expect(() => input("", float32(1))).toThrow(withCode("INPUT_BAD_NAME"));
    expect(() => input("x", float32("2b"))).toThrow(withCode("DIM_BAD_NAME"));
    for (const side of [-1, 0.5, Number.NaN]) {
      expect(() => input("x", float32(side))).toThrow(withCode("DIM_BAD_SIZE", "x"));
    }
    expect(() => constant(new Float32Array(3), [2])).toThrow(withCode("SHAPE_MISMATCH"));
  });
});

describe("sizes that only a run can decide", () => {
  it("are refused when a slice leaves its axis or an axis would be negative", async () => {
    const n = symbol("n");
    const graph = trace({ x: float32("n") }, ({ x }) => ({
      head: slice(x, 0, 0, 3),
      tail: slice(x, 0, subDims(n, 2), n),
      padded: pad(x, 0, subDims(n, 3), 0),
    }));
    using program = await compile(graph, { device });
    const { head, tail, padded } = await program.run({ x: floats([1, 2, 3, 4], [4]) });
    expect([list(head), list(tail), list(padded)]).toEqual([
      [1, 2, 3],
      [3, 4],
      [0, 1, 2, 3, 4],
    ]);
    const short = program.run({ x: floats([1, 2], [2]) });
    await expect(short).rejects.toThrow(withCode("PROGRAM_BAD_INPUT"));
    await expect(short).rejects.toThrow("n = 2");
  });

  it("of zero are answered without the runtime when all outputs are empty", async () => {
    const graph = trace({ x: float32("B", 3), n: int32("B") }, ({ x, n }) => ({
      y: exp(x),
      m: add(n, 1),
      c: reshape(matmul(x, x, false, true), [-1]),
    }));
    const fake = fakeDevice(Number.POSITIVE_INFINITY);
    using program = await compile(graph, { device: fake.device });
    const { y, m, c } = await program.run({ x: floats([], [0, 3]), n: ints([], [0]) });
    expect([y, m, c]).toEqual([floats([], [0, 3]), ints([], [0]), floats([], [0])]);
    expect(fake.runs).toEqual([]);
  });

  it("of zero leave the other outputs to the runtime", async () => {
    const graph = trace({ x: float32("B", 3) }, ({ x }) => ({ y: exp(x), total: sum(x), rows: sum(x, [0]) }));
    using program = await compile(graph, { device });
    const { y, total, rows } = await program.run({ x: floats([], [0, 3]) });
    expect([y.shape, list(total), list(rows)]).toEqual([[0, 3], [0], [0, 0, 0]]);
  });
});

describe("memory", () => {
  const graph = trace({ x: float32("B", 4) }, ({ x }) => {
    const [a, b] = [exp(x), neg(x)];
    return { y: add(mul(a, b), a), c: reshape(b, [-1]) };
  });

  it("peaks where a hand count says", async () => {
    using program = await compile(graph, { device });
    // x, a, b, a * b, and the sum while a and a * b still live: 5 tensors of 16 bytes per row; the reshape is free
    expect(program.peakBytes(new Map([["B", 2]]))).toBe(5 * 32);
    expect(program.peakBytes(new Map([["B", 0]]))).toBe(0);
    const chain = trace({ x: float32("B") }, ({ x }) => ({ y: exp(neg(exp(stopGradient(neg(x))))) }));
    using steps = await compile(chain, { device });
    expect(steps.peakBytes(new Map([["B", 10]]))).toBe(3 * 40); // the input and two of the chain
    const early = trace({ x: float32("B") }, ({ x }) => {
      const first = exp(x);
      return { first, last: exp(neg(exp(neg(first)))) };
    });
    using kept = await compile(early, { device });
    expect(kept.peakBytes(new Map([["B", 10]]))).toBe(4 * 40); // the first output stays to the end
    const mixed = trace({ c: bool("B"), w: float32(3) }, ({ c, w }) => ({
      d: c,
      y: mul(w, constant(new Float32Array(3), [3])),
    }));
    using small = await compile(mixed, { device });
    expect(small.peakBytes(new Map([["B", 5]]))).toBe(5 + 12 + 12 + 12);
  });

  it("that a run lacks refuses it before the runtime is asked", async () => {
    const fake = fakeDevice(159);
    using program = await compile(graph, { device: fake.device });
    await expect(program.run({ x: values(2, 4) })).rejects.toThrow(withCode("RUNTIME_OUT_OF_MEMORY"));
    expect(fake.runs).toEqual([]);
    await program.run({ x: values(1, 4) });
    expect(fake.runs).toEqual([["y", "c"]]);
    const enough = fakeDevice(160);
    using other = await compile(graph, { device: enough.device });
    await other.run({ x: values(2, 4) });
    expect(enough.runs).toHaveLength(1);
  });

  it("of one tensor is limited where the device says so", async () => {
    const fake = fakeDevice(Number.POSITIVE_INFINITY);
    const limited = { ...fake.device, maxTensorBytes: 47 };
    using program = await compile(graph, { device: limited });
    await expect(program.run({ x: values(3, 4) })).rejects.toThrow(withCode("RUNTIME_OUT_OF_MEMORY"));
    expect(fake.runs).toEqual([]);
    await program.run({ x: values(2, 4) });
    expect(fake.runs).toHaveLength(1);
  });

  it("that the runtime cannot get is the same error", async () => {
    const huge = trace({ x: float32("B") }, ({ x }) => ({
      y: sum(exp(broadcastTo(x, [2 ** 20, 2 ** 20, 128, symbol("B")]))),
    }));
    using program = await compile(huge, {
      device: { ...device, availableMemoryBytes: () => Number.POSITIVE_INFINITY },
    });
    await expect(program.run({ x: values(1) })).rejects.toThrow(withCode("RUNTIME_OUT_OF_MEMORY"));
  });
});

describe("a program", () => {
  it("gives inputs, constants and one tensor under two names as outputs", async () => {
    const graph = trace({ x: float32("B") }, ({ x }) => {
      const y = neg(x);
      return {
        same: x,
        y,
        again: y,
        fixed: constant(Int32Array.of(4, 5), [2]),
        flag: constant(Uint8Array.of(1), []),
      };
    });
    using program = await compile(graph, { device });
    const { same, again, fixed, flag } = await program.run({ x: floats([1, 2], [2]) });
    expect([list(same), list(again), list(fixed), list(flag)]).toEqual([[1, 2], [-1, -2], [4, 5], [1]]);
    expect([fixed.data.constructor, flag.data.constructor]).toEqual([Int32Array, Uint8Array]);
  });

  it("gives results that later runs do not change", async () => {
    const graph = trace({ x: float32("B") }, ({ x }) => ({ y: mul(x, 2), same: x }));
    using program = await compile(graph, { device });
    const x = floats([1, 2], [2]);
    const first = await program.run({ x });
    x.data[0] = 9;
    await program.run({ x });
    expect([list(first.y), list(first.same)]).toEqual([
      [2, 4],
      [1, 2],
    ]);
  });

  it("refuses to run after dispose, also with empty outputs; disposing twice is harmless", async () => {
    const graph = trace({ x: float32("B") }, ({ x }) => ({ y: neg(x) }));
    const program = await compile(graph, { device });
    program[Symbol.dispose]();
    program[Symbol.dispose]();
    for (const x of [values(2), values(0)]) {
      await expect(program.run({ x })).rejects.toThrow(withCode("RUNTIME_DISPOSED"));
    }
  });

  it("that the runtime refuses fails with RUNTIME_FAILED, the runtime's words inside", async () => {
    const unknown: Op = {
      name: "unknown",
      infer: ([x]) => ({ shape: (x as Tensor).shape, dtype: "float32" }),
      gradient: () => [null],
      lower: (emit, _, inputs) => emit.node("NoSuchOperator", inputs),
    };
    const graph = trace({ x: float32(1) }, ({ x }) => ({ y: apply(unknown, [x], {}) }));
    const compiled = compile(graph, { device });
    await expect(compiled).rejects.toThrow(withCode("RUNTIME_FAILED"));
    await expect(compiled).rejects.toThrow("NoSuchOperator");
    await expect(compiled).rejects.toBeInstanceOf(NextxError);
    const lookup = trace({ ids: int32("N") }, ({ ids }) => ({
      y: gatherRows(input("w", float32(3, 2)), ids),
    }));
    using program = await compile(lookup, { device, weights: new Map([["w", values(3, 2)]]) });
    await expect(program.run({ ids: ints([3], [1]) })).rejects.toThrow(withCode("RUNTIME_FAILED"));
    expect((await program.run({ ids: ints([2], [1]) })).y.shape).toEqual([1, 2]);
  });

  it("for an empty tensor that could not be compiled is compiled again at the next run", async () => {
    let sessions = 0;
    const failing: Device = {
      ...device,
      createSession: async (model, options) => {
        if (++sessions === 2) throw new NextxError("RUNTIME_FAILED", "Not this time.");
        return device.createSession(model, options);
      },
    };
    const graph = trace({ x: float32(2, "N") }, ({ x }) => ({ y: sum(x, [1]) }));
    using program = await compile(graph, { device: failing });
    await expect(program.run({ x: values(2, 0) })).rejects.toThrow(withCode("RUNTIME_FAILED"));
    expect(list((await program.run({ x: values(2, 0) })).y)).toEqual([0, 0]);
    expect(list((await program.run({ x: values(2, 0) })).y)).toEqual([0, 0]);
    expect(sessions).toBe(3);
  });

  it("that is disposed before its run began gives RUNTIME_DISPOSED", async () => {
    const program = await compile(
      trace({ x: float32("B") }, ({ x }) => ({ y: neg(x) })),
      { device },
    );
    const run = program.run({ x: values(2) });
    program[Symbol.dispose]();
    await expect(run).rejects.toThrow(withCode("RUNTIME_DISPOSED"));
  });

  it("survives integer divisions that trap the CPU", async () => {
    const graph = trace({ a: int32("N"), b: int32("N") }, ({ a, b }) => ({ y: div(a, b) }));
    using program = await compile(graph, { device });
    const a = ints([7, -7, -(2 ** 31)], [3]);
    expect(list((await program.run({ a, b: ints([2, 2, -1], [3]) })).y)).toEqual([3, -3, -(2 ** 31)]);
    await expect(program.run({ a, b: ints([0, 1, 1], [3]) })).rejects.toThrow(withCode("RUNTIME_FAILED"));
  });
});

describe("a device", () => {
  it("opens devices only with a number of threads", async () => {
    for (const threads of [0, -1, 1.5, Number.NaN]) {
      await expect(openCpu({ threads })).rejects.toThrow(withCode("DEVICE_BAD_THREADS", "threads"));
    }
    expect((await openCpu()).threads).toBeGreaterThan(0);
  });
});
