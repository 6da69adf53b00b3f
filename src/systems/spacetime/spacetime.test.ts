/** SpaceTime: the official size, any horizon from one model, series apart. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { initialise, parameterCount, Scope } from "../../nn/scope.ts";
import { openCpu } from "../../runtime/device.node.ts";
import { compile } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats } from "../../runtime/values.ts";
import { RandomStream } from "../../tensor/random.ts";
import { float32 } from "../../tensor/tensor.ts";
import { prefilterSchema, spacetimeSchema } from "./config.ts";
import { Spacetime } from "./model.ts";
import { fromOfficialSpacetime } from "./official.ts";
import { differences, isFilter, prefilter } from "./prefilter.ts";
import { smallSpacetime, spacetimeTrainee } from "./trainee.ts";

const device = await openCpu({ threads: 1 });

it("the official model of one block has the published size", () => {
  const { parameters } = spacetimeTrainee(spacetimeSchema.parse({}), 1);
  const trained = new Map([...parameters].filter(([name]) => !isFilter(name)));
  const [block, loop, layers] = [3 * 16 * 64 + 128, 4 * 128 * 64, 128 * 128 + 128 + 129];
  expect(parameterCount(trained)).toBe(block + loop + layers);
  expect(parameters.get("encoder.blocks.0.pre.ma_r_kernel")?.shape).toEqual([64, 64]);
  expect(parameters.get("encoder.blocks.0.pre.diff_kernel")?.shape).toEqual([64, 4]);
});

it("a longer horizon begins with the shorter one, and channels do not see each other", async () => {
  const config = smallSpacetime({ contextLength: 24, predictionLength: 8, channels: 2, frequency: "h" });
  const { parameters } = spacetimeTrainee(config, 2);
  const weights = initialise(parameters, RandomStream.from(1, "test"));
  const past = floats(RandomStream.from(2, "past").normals(48, 1), [1, 24, 2]);
  const run = async (channels: number, horizon: number, data: Float32Array) => {
    using program = await compile(spacetimeTrainee(config, channels, horizon).forecast, { device, weights });
    const { forecast } = await program.run({ past: floats(data, [1, 24, channels]) });
    return forecast;
  };
  const [short, long] = [
    await run(2, 8, past.data as Float32Array),
    await run(2, 21, past.data as Float32Array),
  ];
  expect(long?.shape).toEqual([1, 21, 2]);
  short?.data.forEach((value, i) => {
    expect(long?.data[i]).toBeCloseTo(value, 4);
  });
  const second = await run(
    1,
    8,
    Float32Array.from({ length: 24 }, (_, i) => past.data[2 * i + 1] as number),
  );
  second?.data.forEach((value, i) => {
    expect(short?.data[2 * i + 1]).toBeCloseTo(value, 4);
  });
});

it("a constant added to a series is added to its forecast", async () => {
  const scope = Scope.root();
  const model = new Spacetime(
    scope,
    smallSpacetime({ contextLength: 24, predictionLength: 4, channels: 1, frequency: "h" }),
  );
  const graph = trace({ past: float32(1, 24, 1) }, ({ past }) => ({ y: model.forecast(past, 4) }));
  const weights = initialise(scope.specs, RandomStream.from(1, "test"));
  using program = await compile(graph, { device, weights });
  const past = RandomStream.from(2, "past").normals(24, 1);
  const { y } = await program.run({ past: floats(past, [1, 24, 1]) });
  const { y: shifted } = await program.run({
    past: floats(
      past.map((value) => value + 8),
      [1, 24, 1],
    ),
  });
  y.data.forEach((value, i) => {
    expect(shifted.data[i]).toBeCloseTo(value + 8, 3);
  });
});

it("differencing rows are binomial coefficients", () => {
  expect(differences(4)).toEqual([
    [1, 0, 0, 0],
    [1, -1, 0, 0],
    [1, -2, 1, 0],
    [1, -3, 3, -1],
  ]);
});

it("parts of the official configuration that are not built are refused", () => {
  expect(() => fromOfficialSpacetime({ lag: 1 })).toThrow();
});

it("channels that share a kernel of the pre-filter lie side by side", async () => {
  const config = { numKernels: 3, repeats: 2, maxDiffOrder: 2, minWindow: 2, maxWindow: 5 };
  const run = async (headDim: number, data: Float32Array) => {
    const scope = Scope.root();
    const width = 6 * headDim;
    const graph = trace({ u: float32(1, 8, width) }, ({ u }) => ({
      y: prefilter(scope.in("pre"), u, prefilterSchema.parse({ ...config, headDim })),
    }));
    const weights = initialise(scope.specs, RandomStream.from(1, "test"));
    using program = await compile(graph, { device, weights });
    return (await program.run({ u: floats(data, [1, 8, width]) })).y?.data as Float32Array;
  };
  const single = RandomStream.from(2, "u").normals(8 * 6, 1);
  const doubled = Float32Array.from({ length: 8 * 12 }, (_, i) => single[Math.floor(i / 2)] as number);
  const [one, two] = [await run(1, single), await run(2, doubled)];
  two.forEach((value, i) => {
    expect(value).toBeCloseTo(one[Math.floor(i / 2)] as number, 5);
  });
});

describe("the official configuration", () => {
  const folder = fileURLToPath(new URL("../../../test/fixtures/golden/spacetime/case.json", import.meta.url));
  const { config } = JSON.parse(readFileSync(folder, "utf8"));
  const block = (changed: typeof config) => changed.encoder_config.blocks[0];

  it("as it is published has one layer behind a GELU and companion matrices", () => {
    const { blocks, decoder } = fromOfficialSpacetime(config);
    expect(blocks[0]).toMatchObject({ matrix: "companion", mlp: { activation: "gelu", layers: 1 } });
    expect(decoder.matrix).toBe("companion");
  });

  it.each<[string, (changed: typeof config) => void]>([
    ["a state space", (c) => (block(c).ssm_config.method = "diagonal")],
    ["a loop in the encoder", (c) => (block(c).ssm_config.method = "closed_loop_shift")],
    ["a pre-filter", (c) => (block(c).pre_config.method = "diff_residual")],
    ["an activation", (c) => (block(c).mlp_config.kwargs.activation = "tanh")],
    ["layers", (c) => (block(c).mlp_config.method = "kan")],
    ["an embedding", (c) => (c.embedding_config.method = "fourier")],
    [
      "kernels too short for their orders",
      (c) => {
        block(c).pre_config = {
          method: "differencing",
          kwargs: { n_kernels: 8, kernel_repeat: 2, kernel_dim: 2 },
        };
      },
    ],
  ])("refuses with a code: %s", (_, change) => {
    const changed = structuredClone(config);
    change(changed);
    expect(() => fromOfficialSpacetime(changed)).toThrow(
      expect.objectContaining({ code: "CONFIG_BAD_VALUE" }),
    );
  });
});
