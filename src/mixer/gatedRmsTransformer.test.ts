import { beforeAll, expect, it } from "vitest";
import { blockCausal } from "../context/blockCausal.ts";
import { attentionBias } from "../context/visibility.ts";
import {
  cacheInputs,
  cacheSpecs,
  emptyCache,
  grownCaches,
  grownValues,
  pastOf,
} from "../decoding/layerCaches.ts";
import { placeAngles, placeRotation, rotatePairs } from "../nn/rotary.ts";
import { initialise, parameterCount, Scope, type Weights } from "../nn/scope.ts";
import { scalePlan } from "../plan/scales.ts";
import { openCpu } from "../runtime/device.node.ts";
import type { Device } from "../runtime/device.ts";
import { compile } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { floats, ints, type Value } from "../runtime/values.ts";
import { symbol } from "../tensor/dims.ts";
import { matmul } from "../tensor/ops/linear.ts";
import { broadcastTo } from "../tensor/ops/structure.ts";
import { RandomStream } from "../tensor/random.ts";
import { constant, float32, int32, type Tensor } from "../tensor/tensor.ts";
import { DoubleStack, type DoubleStackConfig, gatedHidden, gatedRatio } from "./gatedRmsTransformer.ts";

const config: DoubleStackConfig = {
  ...{ embedDim: 16, mlpRatio: 4, encoderDepth: 1, encoderNumHeads: 2, decoderDepth: 2, decoderNumHeads: 1 },
};
const plan = scalePlan([1, 2, 3]);
const places = plan.groups.flatMap(({ side }) =>
  Array.from({ length: side * side }, (_, i) => [Math.floor(i / side) / side, (i % side) / side] as const),
);

let device: Device;
let weights: Weights;
const stack = () => new DoubleStack(Scope.root(), config, plan.length);
const masked = constant(attentionBias(blockCausal, plan), [plan.length, plan.length]);

function whole(conditionSites: 1 | "L") {
  const [B, L] = ["B", plan.length];
  return trace({ x: float32(B, L, 16), condition: float32(B, 1, 16) }, ({ x, condition }) => {
    const given = conditionSites === 1 ? condition : broadcastTo(condition, [symbol("B"), L, 16]);
    return {
      y: stack().run(x, given, {
        rotation: (width) => placeRotation(places, width),
        layer: () => ({ bias: masked }),
      }).x,
    };
  });
}

beforeAll(async () => {
  device = await openCpu({ threads: 1 });
  const scope = Scope.root();
  trace({ x: float32("B", plan.length, 16), condition: float32("B", 1, 16) }, ({ x, condition }) => {
    const run = new DoubleStack(scope, config, plan.length);
    return { y: run.run(x, condition, { rotation: (w) => placeRotation(places, w), layer: () => ({}) }).x };
  });
  weights = initialise(scope.specs, RandomStream.from(1, "test"));
  // attention 16 x 64, feed-forward 3 x 42, modulation 96, twice tables of positions, norms and the middle layer
  const block = 16 * 64 + 64 + 3 * 16 * 42 + 2 * 42 + 16 + 16 * 96 + 96;
  expect(parameterCount(scope.specs)).toBe(3 * block + 2 * plan.length * 16 + 3 * 16 + 17 * 16);
});

const stream = () => RandomStream.from(2, "inputs");
const x = floats(stream().normals(2 * plan.length * 16), [2, plan.length, 16]);
const condition = floats(stream().normals(32), [2, 1, 16]);

it("a pair turns by its angle, rows in the first half of a head and columns in the second", async () => {
  const at = [[0.5, 2]] as const;
  const graph = trace({ v: float32(1, 1, 1, 8) }, ({ v }) => ({ y: rotatePairs(v, placeRotation(at, 8)) }));
  using program = await compile(graph, { device });
  const { y } = await program.run({ v: floats([1, 0, 0, 2, 1, 0, 0, 2], [1, 1, 1, 8]) });
  const angles = [0.5, 0.5 / 100, 2, 2 / 100] as const; // 10000^(-2 k / 4)
  const expected = [
    ...[Math.cos(angles[0]), Math.sin(angles[0]), -2 * Math.sin(angles[1]), 2 * Math.cos(angles[1])],
    ...[Math.cos(angles[2]), Math.sin(angles[2]), -2 * Math.sin(angles[3]), 2 * Math.cos(angles[3])],
  ];
  for (const [i, value] of expected.entries()) expect(y?.data[i]).toBeCloseTo(value, 6);
  expect(placeAngles(at, 8).cos[1]).toBe(placeAngles(at, 8).cos[0]);
});

it("a condition per token that is everywhere the same is a condition per row", async () => {
  const outputs: Value[] = [];
  for (const sites of [1, "L"] as const) {
    using program = await compile(whole(sites), { device, weights });
    outputs.push((await program.run({ x, condition })).y as Value);
  }
  const [once, each] = outputs as [Value, Value];
  for (const [i, value] of once.data.entries()) expect(each.data[i]).toBeCloseTo(value, 5);
});

it("scale by scale with a cache is the masked whole", async () => {
  using program = await compile(whole(1), { device, weights });
  const expected = (await program.run({ x, condition })).y as Value;
  const { layers } = stack();
  const graph = trace(
    {
      x: float32("B", "N", 16),
      condition: float32("B", 1, 16),
      at: int32("N"),
      ...cacheSpecs(layers, symbol("B"), symbol("M")),
    },
    (inputs) => {
      const at = inputs.at as Tensor; // declared above
      const run = stack().run(inputs.x as Tensor, inputs.condition as Tensor, {
        rotation: (width) => placeRotation(places, width, at),
        places: at,
        layer: (i) => ({ past: pastOf(inputs, layers.length, i) }),
      });
      return { y: run.x, ...grownCaches(run.caches) };
    },
  );
  using step = await compile(graph, { device, weights });
  const cache = emptyCache(layers, 2);
  for (const { start, size } of plan.groups) {
    const some = new Float32Array(2 * size * 16);
    for (let b = 0; b < 2; b++) {
      const from = (b * plan.length + start) * 16;
      some.set((x.data as Float32Array).subarray(from, from + size * 16), b * size * 16);
    }
    const at = ints(
      Int32Array.from({ length: size }, (_, i) => start + i),
      [size],
    );
    const out = await step.run({ x: floats(some, [2, size, 16]), condition, at, ...cacheInputs(cache) });
    cache.commit(grownValues(out, layers.length));
    for (let b = 0; b < 2; b++)
      for (let i = 0; i < size * 16; i++)
        expect(out.y?.data[b * size * 16 + i]).toBeCloseTo(
          expected.data[(b * plan.length + start) * 16 + i] as number,
          4,
        );
  }
  expect(cache.length).toBe(plan.length);
});

it("conditions spread over tokens are those of every token", async () => {
  const conditions = floats(stream().normals(2 * 3 * 16), [2, 3, 16]);
  const rows = Float32Array.from({ length: plan.length * 3 }, (_, i) =>
    plan.groupOf[Math.floor(i / 3)] === i % 3 ? 1 : 0,
  );
  const graph = trace({ x: float32("B", plan.length, 16), condition: float32("B", 3, 16) }, (given) => {
    const [spread, one] = [constant(rows, [plan.length, 3]), stack()];
    const options = { rotation: (width: number) => placeRotation(places, width), layer: () => ({}) };
    return {
      spread: one.run(given.x, given.condition, { ...options, spread }).x,
      each: one.run(given.x, matmul(spread, given.condition), options).x,
    };
  });
  using program = await compile(graph, { device, weights });
  const out = await program.run({ x, condition: conditions });
  for (const [i, value] of out.each.data.entries()) expect(out.spread.data[i]).toBeCloseTo(value, 5);
});

it("the ratio of a feed-forward follows from its width, whatever was rounded", () => {
  for (let width = 8; width <= 2048; width += 8) {
    const official = gatedHidden(width, 4);
    expect(gatedRatio(official, width)).toBe(4);
    expect(gatedRatio(2 * width, width)).toBe(3);
    for (const hidden of [1, official - 1, official + 1, 3 * width + 7]) {
      expect(gatedHidden(width, gatedRatio(hidden, width)), `${hidden} of ${width}`).toBe(hidden);
    }
  }
});
