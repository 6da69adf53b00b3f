import { expect, it } from "vitest";
import { scalePlan } from "../plan/scales.ts";
import { openCpu } from "../runtime/device.node.ts";
import { compile } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { floats } from "../runtime/values.ts";
import { RandomStream } from "../tensor/random.ts";
import { float32 } from "../tensor/tensor.ts";
import {
  flowLoss,
  logitNormalTime,
  meanWeights,
  onPath,
  overSites,
  pathVelocity,
  uniformTime,
} from "./flowMatching.ts";

const plan = scalePlan([1, 2]);

it("paths lead from data to noise, and losses are means per group", async () => {
  const site = float32("B", 5, 2);
  const specs = { data: site, noise: site, velocity: site, times: float32("B", 5, 1) };
  const graph = trace(specs, ({ data, noise, velocity, times }) => ({
    x: onPath(data, noise, times),
    ...flowLoss(velocity, pathVelocity(data, noise), plan, [3, 1]),
    mean: flowLoss(velocity, pathVelocity(data, noise), plan, meanWeights(plan)).loss,
  }));
  using program = await compile(graph, { device: await openCpu({ threads: 1 }) });
  const stream = RandomStream.from(1, "flow");
  const [data, noise, velocity] = [stream.normals(20), stream.normals(20), stream.normals(20)] as const;
  const times = Float32Array.from([0, 0.5, 1, 0.25, 0.75, 1, 1, 1, 0, 0]);
  const out = await program.run({
    ...{ data: floats(data, [2, 5, 2]), noise: floats(noise, [2, 5, 2]) },
    ...{ velocity: floats(velocity, [2, 5, 2]), times: floats(times, [2, 5, 1]) },
  });
  const error = (i: number) => ((velocity[i] as number) - (noise[i] as number) + (data[i] as number)) ** 2;
  const of = (sites: readonly number[]) => {
    const all = [0, 1].flatMap((b) => sites.flatMap((s) => [0, 1].map((d) => error((b * 5 + s) * 2 + d))));
    return all.reduce((a, b) => a + b, 0) / all.length;
  };
  const [first, second] = [of([0]), of([1, 2, 3, 4])];
  for (const [i, x] of out.x.data.entries()) {
    const t = times[Math.floor(i / 2)] as number;
    expect(x).toBeCloseTo((1 - t) * (data[i] as number) + t * (noise[i] as number), 5);
  }
  expect([...out.groupLosses.data][0]).toBeCloseTo(first, 5);
  expect([...out.groupLosses.data][1]).toBeCloseTo(second, 5);
  expect(out.loss.data[0]).toBeCloseTo(3 * first + second, 4);
  expect(out.mean.data[0]).toBeCloseTo((first + 4 * second) / 5, 5);
}, 60_000);

it("spreads a group's number over its sites", () => {
  expect([...overSites(Float32Array.of(1, 2, 3, 4), plan)]).toEqual([1, 2, 2, 2, 2, 3, 4, 4, 4, 4]);
});

it("draws times between data and noise, logit-normal ones most in the middle", () => {
  const stream = RandomStream.from(2, "times");
  for (const [draw, inside] of [
    [uniformTime, 0.5],
    [logitNormalTime, 0.728], // the chance of a standard normal within ln 3
  ] as const) {
    const times = Array.from({ length: 20_000 }, () => draw(stream));
    expect(times.every((t) => t >= 0 && t < 1)).toBe(true);
    const share = times.filter((t) => t > 0.25 && t < 0.75).length / times.length;
    expect(Math.abs(share - inside)).toBeLessThan(0.015);
  }
});
