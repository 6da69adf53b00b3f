import { expect, it } from "vitest";
import { trace } from "../runtime/trace.ts";
import { float32 } from "../tensor/tensor.ts";
import { normal, Scope } from "./scope.ts";
import { timeEmbedding, timeFeatures, timeId, timeWaves } from "./timeEmbedding.ts";

it("times are cut to whole thousandths in float32", () => {
  expect([0, 0.0004, 0.04, 0.68, 0.9999, 1].map(timeId)).toEqual([0, 0, 40, 680, 999, 1000]);
  expect(timeId(0.29)).toBe(290); // 289.99999... in float64
});

it("waves are cosines, then sines, from period 2 pi to nearly 10,000 times that", () => {
  const waves = timeFeatures([0, 3]);
  expect(waves).toHaveLength(2 * timeWaves);
  expect([...waves.subarray(0, 128)]).toEqual(Array(128).fill(1));
  expect([...waves.subarray(128, 256)]).toEqual(Array(128).fill(0));
  expect(waves[256]).toBeCloseTo(Math.cos(3), 6);
  expect(waves[256 + 128]).toBeCloseTo(Math.sin(3), 6);
  expect(waves[256 + 64]).toBeCloseTo(Math.cos(0.03), 6);
  expect(waves[256 + 255]).toBeCloseTo(Math.sin(3 * 10_000 ** (-127 / 128)), 8);
});

it("has the official parameter names", () => {
  const scope = Scope.root("time_embed.");
  trace({ waves: float32("B", 4, timeWaves) }, ({ waves }) => ({
    y: timeEmbedding(scope, waves, 6, normal(0.02)),
  }));
  expect([...scope.specs].map(([name, { shape }]) => [name, ...shape])).toEqual([
    ["time_embed.mlp.0.weight", 6, 256],
    ["time_embed.mlp.0.bias", 6],
    ["time_embed.mlp.2.weight", 6, 6],
    ["time_embed.mlp.2.bias", 6],
  ]);
});
