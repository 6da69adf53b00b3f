/** Kernels of companion matrices against step-by-step recurrences. */
import { expect, it } from "vitest";
import { openCpu } from "../runtime/device.node.ts";
import { compile } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { floats, type Value } from "../runtime/values.ts";
import { add, mul } from "../tensor/ops/elementwise.ts";
import { RandomStream } from "../tensor/random.ts";
import { float32, type Tensor } from "../tensor/tensor.ts";
import {
  companionKernel,
  companionMatrix,
  fastCompanionKernel,
  krylov,
  normalised,
  truncated,
} from "./companion.ts";

const device = await openCpu({ threads: 1 });
const random = (name: string, rows: number, columns: number): Value =>
  floats(RandomStream.from(3, name).normals(rows * columns, 1), [rows, columns]);

async function compute(
  inputs: Record<"a" | "b" | "c", Value>,
  describe: (x: Record<"a" | "b" | "c", Tensor>) => Record<string, Tensor>,
) {
  const specs = {
    a: float32(...inputs.a.shape),
    b: float32(...inputs.b.shape),
    c: float32(...inputs.c.shape),
  };
  using program = await compile(trace(specs, describe), { device });
  return await program.run(inputs);
}

/** c^T x of x' = A x from x = b, in float64; `a` is divided by its L1 norm. */
function recurrence({ a, b, c }: Record<"a" | "b" | "c", Value>, row: number, length: number): number[] {
  const size = a.shape[1] ?? 0;
  const take = ({ data }: Value) => Array.from(data).slice(row * size, (row + 1) * size);
  const norm = take(a).reduce((total, value) => total + Math.abs(value), 0);
  const column = take(a).map((value) => value / norm);
  let x = take(b);
  return Array.from({ length }, () => {
    const y = x.reduce((total, value, i) => total + value * (take(c)[i] ?? 0), 0);
    const last = x[size - 1] ?? 0;
    x = x.map((_, i) => (i === 0 ? 0 : (x[i - 1] ?? 0)) + (column[i] ?? 0) * last);
    return y;
  });
}

it.each([
  [9, 1],
  [9, 5],
  [25, 9],
  [6, 64],
  [64, 336],
])("state size %i, length %i: squaring, the recurrence and the fast form agree", async (size, length) => {
  const inputs = { a: random("a", 3, size), b: random("b", 3, size), c: random("c", 3, size) };
  const { slow, fast } = await compute(inputs, ({ a, b, c }) => {
    const unit = normalised(a, 1);
    return {
      slow: companionKernel(length, unit, b, c),
      fast: fastCompanionKernel(length, unit, b, truncated(length, unit, c)),
    };
  });
  for (let row = 0; row < 3; row++) {
    recurrence(inputs, row, length).forEach((value, i) => {
      expect(slow?.data[row * length + i]).toBeCloseTo(value, 3);
      expect(fast?.data[row * length + i]).toBeCloseTo(value, 2);
    });
  }
});

it("the order of powers turns round", async () => {
  const inputs = { a: random("a", 2, 4), b: random("b", 2, 4), c: random("c", 2, 4) };
  const { last, first } = await compute(inputs, ({ a, b }) => ({
    last: krylov(11, companionMatrix(normalised(a, 1)), b),
    first: krylov(11, companionMatrix(normalised(a, 1)), b, "first"),
  }));
  const rows = (value: Value | undefined, kernel: number) =>
    Array.from({ length: 11 }, (_, i) =>
      Array.from(value?.data ?? []).slice((kernel * 11 + i) * 4, (kernel * 11 + i + 1) * 4),
    );
  for (const kernel of [0, 1]) {
    rows(first, kernel)
      .reverse()
      .forEach((row, i) => {
        row.forEach((value, j) => {
          expect(value).toBeCloseTo(rows(last, kernel)[i]?.[j] ?? Number.NaN, 5);
        });
      });
  }
});

it("vectors near zero keep their size", async () => {
  const tiny = floats(new Float32Array(6).fill(1e-6), [2, 3]);
  const { y } = await compute({ a: tiny, b: tiny, c: tiny }, ({ a }) => ({ y: normalised(a, 1) }));
  expect(Array.from(y?.data ?? [])).toEqual(Array.from(tiny.data));
});

it.each([1, 2, 3, 5])("rows are divided by their norm of order %s", async (order) => {
  const [a, b, c] = [random("a", 3, 4), random("b", 3, 4), random("c", 3, 4)];
  const { y } = await compute({ a, b, c }, (x) => ({
    y: add(add(normalised(x.a, order), mul(x.b, 0)), mul(x.c, 0)),
  }));
  for (let row = 0; row < 3; row++) {
    const own = Array.from(y?.data ?? [], Number).slice(row * 4, row * 4 + 4);
    const norm = own.reduce((sum, value) => sum + Math.abs(value) ** order, 0) ** (1 / order);
    expect(norm).toBeCloseTo(1, 4);
  }
});
