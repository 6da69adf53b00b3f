import { expect, it } from "vitest";
import { RandomStream } from "../tensor/random.ts";
import { euler, eulerMaruyama, type FlowProblem, linspace, scoreOf } from "./flowSolvers.ts";

const [mean, deviation] = [1.5, 0.4];

/** The exact velocity where data are normal: E[noise - data | x at time t]. */
function gaussianVelocity(x: number, t: number): number {
  const variance = (1 - t) ** 2 * deviation ** 2 + t ** 2;
  return -mean + ((t - (1 - t) * deviation ** 2) / variance) * (x - (1 - t) * mean);
}

const problem = (noise: ArrayLike<number>, steps: number, from = 0): FlowProblem => ({
  noise,
  times: linspace(1, from, steps + 1),
  velocity: async (state, time) => ({ conditional: state.map((x) => gaussianVelocity(x, time)) }),
});

it("Euler carries noise to where a normal target lies, with first-order error", async () => {
  const noise = [-2, -0.5, 0, 1, 3];
  const exact = noise.map((x) => mean + deviation * x);
  const error = async (steps: number) => {
    const end = await euler(problem(noise, steps));
    return Math.max(...exact.map((x, i) => Math.abs((end[i] as number) - x)));
  };
  const [coarse, fine] = [await error(50), await error(100)];
  expect(fine).toBeLessThan(0.05);
  expect(coarse / fine).toBeGreaterThan(1.7);
});

it("Euler-Maruyama reaches the mean and the variance of a normal target", async () => {
  const count = 4000;
  const stream = RandomStream.from(1, "sde");
  const times = [...linspace(1, 0.04, 150), 0];
  const end = await eulerMaruyama({ ...problem(stream.normals(count), 1), times }, () =>
    stream.normals(count),
  );
  const average = end.reduce((a, b) => a + b, 0) / count;
  const variance = end.reduce((sum, x) => sum + (x - average) ** 2, 0) / count;
  expect(Math.abs(average - mean)).toBeLessThan(0.02);
  expect(Math.abs(Math.sqrt(variance) - deviation)).toBeLessThan(0.03);
});

it("the stochastic drift without noise moves by v - t score", async () => {
  const times = [0.8, 0.5, 0.2];
  const end = await eulerMaruyama({ ...problem([0.3], 1), times }, () => Float32Array.of(0));
  let x = 0.3;
  for (const [i, t] of [0.8, 0.5].entries()) {
    const v = Math.fround(gaussianVelocity(Math.fround(x), t));
    x += (v - t * scoreOf(v, x, t)) * ((times[i + 1] as number) - t);
  }
  expect(end[0]).toBeCloseTo(x, 10);
});

it("the score of a normal target is that of its density", () => {
  for (const t of [0.1, 0.5, 1]) {
    const variance = (1 - t) ** 2 * deviation ** 2 + t ** 2;
    const x = 0.7;
    expect(scoreOf(gaussianVelocity(x, t), x, t)).toBeCloseTo(-(x - (1 - t) * mean) / variance, 10);
  }
});

it("guidance mixes velocities inside its interval, and asks for both only there", async () => {
  const asked: [number, boolean, number][] = [];
  const request = (weight: number): FlowProblem => ({
    noise: [0, 0],
    times: [1, 0.75, 0.5, 0],
    guidance: { weight, until: 0.75 },
    velocity: async (_, time, guided, step) => {
      asked.push([time, guided, step]);
      const conditional = Float32Array.of(1, 2);
      return guided ? { conditional, unconditional: Float32Array.of(0, 0) } : { conditional };
    },
  });
  expect([...(await euler(request(3)))]).toEqual([-2.5, -5]); // -0.25, then 3 times -0.75
  expect(asked).toEqual([
    [1, false, 0],
    [0.75, true, 1],
    [0.5, true, 2],
  ]);
  asked.length = 0;
  expect([...(await euler(request(1)))]).toEqual([-1, -2]);
  expect(asked.every(([, guided]) => !guided)).toBe(true);
});

it("one time gives the noise back, and an abort stops", async () => {
  expect([...(await euler({ ...problem([1, 2], 1), times: [1] }))]).toEqual([1, 2]);
  await expect(euler({ ...problem([1], 5), signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: "ABORTED",
  });
});

it("grids are filled from both ends", () => {
  expect(linspace(1, 0.04, 4).map((t) => Math.round(t * 1e9) / 1e9)).toEqual([1, 0.68, 0.36, 0.04]);
  expect(linspace(1, 0, 1)).toEqual([1]);
  expect(linspace(1, 0.04, 40).at(-1)).toBe(0.04);
});

it("grids are those of torch to the last bit, which decides whether guidance acts at a limit", () => {
  expect(linspace(1, 0.3, 8)[3]).toBe(0.7000000000000001); // 16 steps
  expect(linspace(1, 0.3, 15)[6]).toBe(0.7000000000000001); // 30 steps
  expect(linspace(1, 0.3, 3)).toEqual([1, 0.6499999999999999, 0.3]); // 6 steps: the middle comes from the end
  expect(linspace(0.25, 0, 4)).toEqual([0.25, 0.16666666666666669, 0.08333333333333333, 0]);
  expect(linspace(1, 0, 0)).toEqual([]);
});

it("guidance acts between its times only", async () => {
  const asked: number[] = [];
  await euler({
    noise: [0],
    times: [1, 0.75, 0.5, 0.25, 0],
    guidance: { weight: 2, until: 0.8, from: 0.5 },
    velocity: async (state, time, guided) => {
      if (guided) asked.push(time);
      return { conditional: state, ...(guided && { unconditional: state }) };
    },
  });
  expect(asked).toEqual([0.75, 0.5]);
});
