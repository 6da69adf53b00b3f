import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openCpu } from "../../runtime/device.node.ts";
import { compile } from "../../runtime/program.ts";
import { expectClose, OpChecker } from "../../runtime/testing/checkOp.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, ints } from "../../runtime/values.ts";
import { symbol } from "../dims.ts";
import { grad } from "../grad.ts";
import { RandomStream } from "../random.ts";
import { float32, input, int32, type Tensor } from "../tensor.ts";
import { forAll, shapes, sizesOf, symbolsIn } from "../testing/arbitraries.ts";
import { nd } from "../testing/ndarray.ts";
import { mul } from "./elementwise.ts";
import * as g from "./gather.ts";
import { gatherOps } from "./gather.ts";
import { sum } from "./structure.ts";

const device = await openCpu({ threads: 1 });
const checker = new OpChecker(device);
const withCode = (code: string) => expect.objectContaining({ code });

describe("picking rows and entries", () => {
  const cases = fc
    .tuple(shapes(0, 3), fc.integer({ min: 1, max: 4 }), shapes(0, 2))
    .chain(([ids, rows, rest]) =>
      fc.tuple(fc.constant({ ids, rows, rest }), sizesOf(symbolsIn(ids, rest), 3)),
    );

  it("gatherRows and its transpose, differentiated twice", { timeout: 60_000 }, () =>
    forAll(cases, 24, ([{ ids, rows, rest }, sizes]) =>
      checker.check(
        {
          inputs: { table: float32(rows, ...rest), codes: int32(rows, ...rest), ids: int32(...ids) },
          build: ({ table, codes, ids }) => ({
            rows: g.gatherRows(table, ids),
            ints: g.gatherRows(codes, ids),
          }),
          draw: { ids: (random) => random.integer(rows) },
        },
        sizes,
      ),
    ),
  );

  it("scatterAddRows, differentiated twice", { timeout: 60_000 }, async () => {
    for (const rows of [1, 7, 300, symbol("R")]) {
      await checker.check(
        {
          inputs: { ids: int32("N"), updates: float32("N", "D"), carrier: int32("R") },
          build: ({ ids, updates }) => ({ y: g.scatterAddRows(ids, updates, rows) }),
          draw: { ids: (random) => random.integer(typeof rows === "number" ? rows : 4) },
        },
        [
          { N: 9, D: 2, R: 5 },
          { N: 0, D: 2, R: 4 },
          { N: 3, D: 0, R: 4 },
          { N: 1, D: 1, R: 6 },
        ],
      );
    }
  });

  it("scatterAddRows with the kernels that WebGPU has", () =>
    new OpChecker({ ...device, provider: "webgpu" }).check(
      {
        inputs: { ids: int32("N"), updates: float32("N", 2) },
        build: ({ ids, updates }) => ({
          y: g.scatterAddRows(ids, updates, 300),
          z: g.scatterAddRows(ids, updates, 5),
        }),
        draw: { ids: (random) => random.integer(5) },
      },
      [{ N: 9 }, { N: 0 }],
    ));

  it("gatherRows from a table whose length is symbolic", () =>
    checker.check(
      {
        inputs: { table: float32("R", 2), ids: int32("B", "N") },
        build: ({ table, ids }) => ({ rows: g.gatherRows(table, ids) }),
        draw: { ids: (random) => random.integer(3) },
      },
      [
        { R: 3, B: 2, N: 4 },
        { R: 9, B: 1, N: 1 },
        { R: 3, B: 0, N: 2 },
      ],
    ));

  it("pickLast, oneHot and argmaxLast with ties", { timeout: 60_000 }, () =>
    forAll(cases, 16, ([{ ids, rows }, sizes]) =>
      checker.check(
        {
          inputs: {
            x: float32(...ids, rows),
            codes: int32(...ids, rows),
            ids: int32(...ids),
            tied: float32(...ids, 5),
          },
          build: ({ x, codes, ids, tied }) => ({
            picked: g.pickLast(x, ids),
            pickedInt: g.pickLast(codes, ids),
            hot: g.oneHot(ids, rows + 1),
            argmax: g.argmaxLast(tied),
            argmaxInt: g.argmaxLast(codes),
          }),
          draw: { ids: (random) => random.integer(rows), tied: (random) => random.integer(3) - 2 },
        },
        sizes,
      ),
    ),
  );

  it("refuse what does not fit", () => {
    const x = input("x", float32("B", 3));
    const ids = input("ids", int32("B"));
    expect(() => g.gatherRows(x, x)).toThrow(withCode("DTYPE_MISMATCH"));
    expect(() => g.gatherRows(input("s", float32()), ids)).toThrow(withCode("AXIS_OUT_OF_RANGE"));
    expect(() => g.pickLast(x, input("n", int32("N")))).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => g.pickLast(input("s", float32()), ids)).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => g.scatterAddRows(ids, input("u", float32("N", 3)), 4)).toThrow(withCode("SHAPE_MISMATCH"));
    expect(() => g.scatterAddRows(ids, input("u", int32("B", 3)), 4)).toThrow(withCode("DTYPE_MISMATCH"));
    expect(() => g.scatterAddRows(ids, x, -1)).toThrow(withCode("SCATTER_BAD_ROWS"));
    expect(() => g.oneHot(x, 3)).toThrow(withCode("DTYPE_MISMATCH"));
    expect(() => g.argmaxLast(input("s", float32()))).toThrow(withCode("AXIS_OUT_OF_RANGE"));
  });
});

// A scatter with a reduction loses updates on such input (12 of 40 runs were wrong), so many runs on several threads.
describe("the gradient of 65,536 picks among 64 rows of 256", () => {
  const [count, width, runs] = [65536, 256, 50];
  const tables = { small: 64, large: 5000 } as const;
  const random = RandomStream.from(11, "many ids");
  const block = random.normals(8191);
  const updates = Float32Array.from({ length: count * width }, (_, i) => block[(i * 31) % 8191] as number);
  const ids = Int32Array.from({ length: count }, () => random.integer(64));
  const exact = new Float64Array(64 * width);
  for (let i = 0; i < updates.length; i++) {
    const at = (ids[i >> 8] as number) * width + (i & 255);
    exact[at] = (exact[at] as number) + (updates[i] as number);
  }
  const specs = {
    small: float32(tables.small, width),
    large: float32(tables.large, width),
    ids: int32("N"),
    updates: float32("N", width),
  };
  const graph = trace(specs, ({ small, large, ids, updates }) => {
    const gradient = (table: Tensor): Tensor =>
      grad(sum(mul(g.gatherRows(table, ids), updates)), [table])[0] as Tensor;
    return { dSmall: gradient(small), dLarge: gradient(large) };
  });
  const feeds = {
    small: floats(new Float32Array(tables.small * width), [tables.small, width]),
    large: floats(new Float32Array(tables.large * width), [tables.large, width]),
    ids: ints(ids, [count]),
    updates: floats(updates, [count, width]),
  };
  const bytes = (data: ArrayBufferView): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

  it.each([2, 4])(
    "is right and the same to the last bit in 50 runs on %d threads",
    { timeout: 120_000 },
    async (threads) => {
      using program = await compile(graph, { device: await openCpu({ threads }) });
      const first = await program.run(feeds);
      // About 1,024 normal numbers per entry: one-hot sums in float32, sorted sums in float64.
      expectClose(first.dSmall, nd(exact, [tables.small, width]), 3e-6, "small table");
      const rest = new Float64Array((tables.large - 64) * width);
      expectClose(first.dLarge, nd([...exact, ...rest], [tables.large, width]), 1e-7, "large table");
      for (let run = 1; run < runs; run++) {
        const again = await program.run(feeds);
        expect(bytes(again.dSmall.data).equals(bytes(first.dSmall.data)), `small table, run ${run}`).toBe(
          true,
        );
        expect(bytes(again.dLarge.data).equals(bytes(first.dLarge.data)), `large table, run ${run}`).toBe(
          true,
        );
      }
    },
  );

  it("keeps the accuracy of float64 sums behind a row of large numbers", async () => {
    const small = trace({ ids: int32("N"), updates: float32("N", 1) }, ({ ids, updates }) => ({
      y: g.scatterAddRows(ids, updates, 1000),
    }));
    using program = await compile(small, { device });
    const ids = Int32Array.from({ length: 4000 }, (_, i) => (i % 2) * 999);
    const updates = Float32Array.from({ length: 4000 }, (_, i) => (i % 2 === 0 ? 1e5 : 0.1));
    const { y } = await program.run({ ids: ints(ids, [4000]), updates: floats(updates, [4000, 1]) });
    expect([y.data[0], y.data[1]]).toEqual([2e8, 0]);
    expect(Math.abs((y.data[999] as number) - 200)).toBeLessThan(2e-5);
  });
});

it("leave no op of the file out", () => {
  expect([...gatherOps].map((op) => op.name).filter((name) => !checker.covered.has(name))).toEqual([]);
});
