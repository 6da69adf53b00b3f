/** Transforms against sums in float64, through the short and the split form. */
import { describe, expect, it } from "vitest";
import { openCpu } from "../runtime/device.node.ts";
import { compile } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { floats, type Value } from "../runtime/values.ts";
import { grad } from "../tensor/grad.ts";
import { mul } from "../tensor/ops/elementwise.ts";
import { sum } from "../tensor/ops/structure.ts";
import { RandomStream } from "../tensor/random.ts";
import { float32, type Tensor } from "../tensor/tensor.ts";
import { causalConvolution, directLength, multiplyConjugate, RealTransform } from "./fourier.ts";

const device = await openCpu({ threads: 1 });
const random = (name: string, shape: readonly number[]): Value =>
  floats(
    RandomStream.from(7, name).normals(
      shape.reduce((a, b) => a * b, 1),
      1,
    ),
    shape,
  );

async function compute(
  inputs: Record<string, Value>,
  describe: (x: Record<string, Tensor>) => Record<string, Tensor>,
): Promise<Record<string, Value>> {
  const specs = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape }]) => [name, float32(...shape)]),
  );
  using program = await compile(trace(specs, describe), { device });
  return await program.run(inputs);
}

function expectClose(actual: ArrayLike<number> | undefined, expected: readonly number[], tolerance: number) {
  expect(actual?.length).toBe(expected.length);
  const worst = Math.max(...expected.map((value, i) => Math.abs(value - (actual?.[i] ?? Number.NaN))));
  expect(worst).toBeLessThan(tolerance);
}

/** 360 and 768 are split, 257 is a prime beyond the direct length. */
describe.each([1, 2, 3, 15, 16, 96, 257, 360, 768])("length %i", (length) => {
  const transform = new RealTransform(length);
  const x = random("x", [2, length]);

  it("gives the sums of the definition", async () => {
    const { re, im } = await compute({ x }, (t) => ({ ...transform.forward(t.x as Tensor) }));
    const want = { re: [] as number[], im: [] as number[] };
    for (let row = 0; row < 2; row++) {
      for (let k = 0; k < transform.frequencies; k++) {
        let [real, imaginary] = [0, 0];
        for (let t = 0; t < length; t++) {
          const angle = (-2 * Math.PI * k * t) / length;
          real += (x.data[row * length + t] as number) * Math.cos(angle);
          imaginary += (x.data[row * length + t] as number) * Math.sin(angle);
        }
        want.re.push(real);
        want.im.push(imaginary);
      }
    }
    expectClose(re?.data, want.re, 1e-5 * length);
    expectClose(im?.data, want.im, 1e-5 * length);
  });

  it("comes back, also from fewer values", async () => {
    const keep = Math.ceil(length / 2);
    const { all, some } = await compute({ x }, (t) => {
      const spectrum = transform.forward(t.x as Tensor);
      return { all: transform.inverse(spectrum), some: transform.inverse(spectrum, keep) };
    });
    const rows = Array.from(x.data);
    expectClose(all?.data, rows, 1e-5);
    expectClose(some?.data, [...rows.slice(0, keep), ...rows.slice(length, length + keep)], 1e-5);
  });
});

it("the split form is reached by the lengths above", () => {
  expect(360).toBeGreaterThan(directLength);
});

it.each([12, 300])("a product with a conjugate correlates, and differentiates: length %i", async (length) => {
  const [x, y] = [random("a", [1, length]), random("b", [1, length])];
  const transform = new RealTransform(length);
  const { corr, gradient } = await compute({ x, y }, ({ x: a, y: b }) => {
    const z = multiplyConjugate(transform.forward(a as Tensor), transform.forward(b as Tensor));
    const correlation = transform.inverse(z);
    return {
      corr: correlation,
      gradient: grad(sum(mul(correlation, b as Tensor)), [a as Tensor])[0] as Tensor,
    };
  });
  const at = ({ data }: Value, i: number) => data[((i % length) + length) % length] as number;
  const lags = Array.from({ length }, (_, i) => i);
  const direct = lags.map((lag) => lags.reduce((total, t) => total + at(x, t + lag) * at(y, t), 0));
  expectClose(corr?.data, direct, 1e-4 * Math.sqrt(length));
  // d/dx_s of sum_lag b_lag sum_t x_(t + lag) y_t
  const want = lags.map((s) => lags.reduce((total, lag) => total + at(y, lag) * at(y, s - lag), 0));
  expectClose(gradient?.data, want, 1e-4 * Math.sqrt(length));
});

it.each([
  [5, 3],
  [200, 200],
])("a causal convolution of %i steps with %i taps sees no future", async (length, taps) => {
  const [x, f] = [random("x", [1, 2, length]), random("f", [2, taps])];
  const { y } = await compute({ x, f }, (t) => ({ y: causalConvolution(t.x as Tensor, t.f as Tensor) }));
  const want: number[] = [];
  for (let c = 0; c < 2; c++) {
    for (let t = 0; t < length; t++) {
      let total = 0;
      for (let i = 0; i <= Math.min(t, taps - 1); i++)
        total += (f.data[c * taps + i] as number) * (x.data[c * length + t - i] as number);
      want.push(total);
    }
  }
  expectClose(y?.data, want, 1e-4);
});
