/** Auto-correlation and attention over time as mixers of heads. */
import { describe, expect, it } from "vitest";
import { openCpu } from "../runtime/device.node.ts";
import { compile } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { floats, type Value } from "../runtime/values.ts";
import { RandomStream } from "../tensor/random.ts";
import { float32, type Tensor } from "../tensor/tensor.ts";
import { autoCorrelation, correlate, lagCount, mixLags, ownLags, sharedLags } from "./autoCorrelation.ts";
import { causalAttention, fullAttention } from "./dotProduct.ts";
import type { HeadMixer } from "./headMixer.ts";

const device = await openCpu({ threads: 1 });
const random = (name: string, shape: readonly number[]): Value =>
  floats(
    RandomStream.from(5, name).normals(
      shape.reduce((a, b) => a * b, 1),
      1,
    ),
    shape,
  );

async function compute<N extends string>(
  inputs: Readonly<Record<N, Value>>,
  describeOutputs: (x: Readonly<Record<N, Tensor>>) => Record<string, Tensor>,
) {
  const specs = Object.fromEntries(
    Object.entries<Value>(inputs).map(([name, { shape }]) => [name, float32(...shape)]),
  );
  using program = await compile(
    trace(specs, (x) => describeOutputs(x as Record<N, Tensor>)), // the same names
    { device },
  );
  return await program.run(inputs);
}

describe("lags", () => {
  const length = 96;
  /** A pure wave of 24 steps, another phase and size per channel. */
  const waves = floats(
    Float32Array.from({ length: length * 4 }, (_, i) => {
      const [t, c] = [Math.floor(i / 4), i % 4];
      return (c + 1) * Math.sin((2 * Math.PI * (t + 3 * c)) / 24);
    }),
    [1, length, 2, 2],
  );

  it("of a daily wave are whole days", async () => {
    const { weights } = await compute({ x: waves }, ({ x }) => ({ weights: ownLags(correlate(x, x), 4) }));
    const chosen = Array.from(weights?.data ?? []).flatMap((weight, lag) => (weight > 1e-6 ? [lag] : []));
    expect(chosen).toEqual([0, 24, 48, 72]);
    expect(Array.from(weights?.data ?? []).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
  });

  it("mix to the left: one lag of weight 1 is a roll", async () => {
    const single = floats(
      Float32Array.from({ length }, (_, i) => (i === 5 ? 1 : 0)),
      [1, 1, 1, length],
    );
    const { mixed } = await compute({ x: waves, w: single }, ({ x, w }) => ({
      mixed: mixLags(x, w, correlate(x, x).transform),
    }));
    for (let t = 0; t < length; t++)
      expect(mixed?.data[t * 4]).toBeCloseTo(waves.data[((t + 5) % length) * 4] as number, 4);
  });

  it("are as many as floor(factor ln L)", () => {
    expect([lagCount(3, 96), lagCount(1, 96), lagCount(1, 2)]).toEqual([13, 4, 1]);
  });

  it("of a sample do not depend on its batch in inference, and do in training", async () => {
    // small numbers, so that no lag takes all the weight
    const [one, two] = ["one", "three"].map((name) => {
      const { data, shape } = random(name, [1, 24, 1, 4]);
      return floats(
        Float32Array.from(data, (value) => 0.2 * value),
        shape,
      );
    }) as [Value, Value];
    const both = floats(Float32Array.from([...one.data, ...two.data]), [2, 24, 1, 4]);
    const run = async (x: Value, lags: typeof ownLags) => {
      const { y } = await compute({ x }, (t) => ({ y: autoCorrelation(1, lags)(t.x, t.x, t.x) }));
      return Array.from(y?.data ?? []);
    };
    const gap = async (lags: typeof ownLags) => {
      const apart = [...(await run(one, lags)), ...(await run(two, lags))];
      const together = await run(both, lags);
      return Math.max(...apart.map((value, i) => Math.abs(value - (together[i] ?? Number.NaN))));
    };
    expect(await gap(ownLags)).toBeLessThan(1e-5);
    expect(await gap(sharedLags)).toBeGreaterThan(1e-3);
  });
});

describe("attention", () => {
  const run = async (mixer: HeadMixer, x: Value): Promise<number[]> => {
    const { y } = await compute({ x }, (t) => ({ y: mixer(t.x, t.x, t.x) }));
    return Array.from(y?.data ?? []);
  };

  it("causal: earlier steps do not change with later ones; full: they do", async () => {
    const x = random("x", [1, 10, 2, 3]);
    const changed = floats(
      Float32Array.from(x.data, (value, i) => (i >= 7 * 6 ? -value : value)),
      x.shape,
    );
    const [before, after] = [await run(causalAttention, x), await run(causalAttention, changed)];
    before.slice(0, 42).forEach((value, i) => {
      expect(after[i]).toBeCloseTo(value, 6);
    });
    const [full, fullAfter] = [await run(fullAttention, x), await run(fullAttention, changed)];
    expect(Math.abs((full[0] ?? 0) - (fullAfter[0] ?? 0))).toBeGreaterThan(1e-4);
  });
});
