import { expect, it } from "vitest";
import { initialise, Scope } from "../nn/scope.ts";
import { openCpu } from "../runtime/device.node.ts";
import { compile } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { floats } from "../runtime/values.ts";
import { RandomStream } from "../tensor/random.ts";
import { constant, float32 } from "../tensor/tensor.ts";
import {
  drawLatents,
  KlAutoencoder,
  klDivergence,
  klRoundTripGraph,
  latentsGraph,
  picturesGraph,
} from "./klAutoencoder.ts";

const config = {
  ...{ zChannels: 2, ch: 4, numGroups: 2, chMult: [1, 1], numResBlocks: 1, inChannels: 3 },
  ...{ patchSize: 2, latentSide: 2, scaleFactor: null },
};

it("the divergence of the standard normal is 0, that of another one what the formula says", async () => {
  const device = await openCpu({ threads: 1 });
  const value = (numbers: number[]) => constant(Float32Array.from(numbers), [1, 1, 1, 2]);
  const graph = trace({}, () => ({
    none: klDivergence({ mean: value([0, 0]), logVariance: value([0, 0]) }),
    some: klDivergence({ mean: value([2, 0]), logVariance: value([0, 1]) }),
    drawn: drawLatents({ mean: value([1, 2]), logVariance: value([0, 2 * Math.log(3)]) }, value([-1, 1])),
  }));
  using program = await compile(graph, { device });
  const { none, some, drawn } = await program.run({});
  expect(none?.data[0]).toBeCloseTo(0, 6);
  expect(some?.data[0]).toBeCloseTo(2 + (Math.E - 2) / 2, 5);
  expect(drawn?.data[0]).toBeCloseTo(0, 5);
  expect(drawn?.data[1]).toBeCloseTo(5, 5);
});

it("a measured scale multiplies latents and is taken back before decoding", async () => {
  const device = await openCpu({ threads: 1 });
  const scope = Scope.root("vae.");
  const codec = new KlAutoencoder(scope, config);
  const graphs = [latentsGraph(codec), picturesGraph(codec), klRoundTripGraph(codec)] as const;
  const weights = initialise(scope.specs, RandomStream.from(1, "test"));
  weights.set("vae.scale_factor", floats([4], []));
  const images = floats(RandomStream.from(2, "images").normals(2 * 3 * 64, 0.3), [2, 3, 8, 8]);
  using encode = await compile(graphs[0], { device, weights });
  using decode = await compile(graphs[1], { device, weights });
  using trip = await compile(graphs[2], { device, weights });
  const latents = await encode.run({ images });
  expect(latents.mean?.shape).toEqual([2, 2, 2, 2]);
  const plain = new KlAutoencoder(Scope.root("vae."), { ...config, scaleFactor: 1 });
  const unscaled = trace({ images: float32("B", 3, 8, 8) }, (x) => ({ mean: plain.encode(x.images) }));
  using encodePlain = await compile(unscaled, { device, weights });
  const { mean } = await encodePlain.run({ images });
  for (const [i, value] of (mean?.data ?? []).entries())
    expect(latents.mean?.data[i]).toBeCloseTo(4 * value, 4);
  const back = (await decode.run({ latents: latents.mean ?? images })).images;
  for (const [i, value] of ((await trip.run({ images })).images?.data ?? []).entries())
    expect(back?.data[i]).toBeCloseTo(Math.max(-1, Math.min(1, value)), 5);
});

it("attention lies at the last level, at another one, or at none", () => {
  const levelsOf = (attendedLevel?: number) => {
    const scope = Scope.root("");
    const deep = { ...config, chMult: [1, 1, 1], ...(attendedLevel !== undefined && { attendedLevel }) };
    latentsGraph(new KlAutoencoder(scope, deep));
    return [0, 1, 2].filter((level) => scope.specs.has(`encoder.down.${level}.attn.0.norm.weight`));
  };
  expect([levelsOf(), levelsOf(1), levelsOf(4)]).toEqual([[2], [1], []]);
});
