/** What a cache keeps on a device is freed, whether a generation ends or is stopped, and changes no picture. */
import { expect, it } from "vitest";
import { initialise } from "../src/nn/scope.ts";
import { tokenizerSchema, transformerSchema } from "../src/regimen/multiScaleConfig.ts";
import type { ImageModel, ImageSystem } from "../src/regimen/system.ts";
import { openCpu } from "../src/runtime/device.node.ts";
import { keepingDevice } from "../src/runtime/testing/keepingDevice.ts";
import { floats } from "../src/runtime/values.ts";
import { flowArModelSchema } from "../src/systems/flowar/config.ts";
import { narModelSchema, vqSchema } from "../src/systems/nar/config.ts";
import { imageSystems } from "../src/systems/registry.ts";
import { RandomStream } from "../src/tensor/random.ts";

const codec = { ch: 8, numGroups: 2, chMult: [1, 1], numResBlocks: 1, patchSize: 2 };
const patchNums = [1, 2, 4];
const configs = {
  var: {
    tokenizer: tokenizerSchema.parse({ ...codec, vocabSize: 20, zChannels: 4, patchNums }),
    transformer: transformerSchema.parse({ numClasses: 3, depth: 2, embedDim: 16, numHeads: 2, patchNums }),
  },
  nar: narModelSchema.parse({
    tokenizer: vqSchema.parse({ ...codec, vocabSize: 20, codeWidth: 4, zChannels: 8, latentSide: 4 }),
    transformer: { numClasses: 3, dim: 16, nLayer: 1, nHead: 2, multipleOf: 8, order: "neighbour" },
  }),
  flowar: flowArModelSchema.parse({
    tokenizer: { ...codec, zChannels: 3, latentSide: 4, scaleFactor: 1 },
    transformer: {
      ...{ numClasses: 3, patchNums, latentWidth: 3, embedDim: 16, encoderDepth: 1, encoderNumHeads: 2 },
      ...{ decoderDepth: 1, decoderNumHeads: 1, flowDepth: 1, flowWidth: 16 },
    },
  }),
};

it.each(Object.keys(configs) as (keyof typeof configs)[])("%s", async (id) => {
  const system = imageSystems.get(id) as ImageSystem;
  const description = { system: id, config: configs[id], classNames: ["a", "b", "c"], imageSize: 16 };
  const specs = system.parameters(description);
  const weights = new Map(
    [...initialise(specs, RandomStream.from(1, "test"))].map(([name, { data, shape }]) => [
      name,
      name === "vae.scale_factor"
        ? floats([1], shape)
        : floats(RandomStream.from(2, name).normals(data.length, 0.3), shape),
    ]),
  );
  const cpu = await openCpu({ threads: 1 });
  let stop: AbortController | undefined;
  const keeping = keepingDevice(cpu, () => stop?.abort());
  const draw = async (model: ImageModel, most = Number.POSITIVE_INFINITY, signal?: AbortSignal) => {
    const options = { labels: [0, 2], seed: 1, options: { cfgScale: 1.5 }, previews: true };
    const request = { ...options, ...(signal && { signal }) };
    let pixels = new Uint8Array(0);
    let seen = 0;
    for await (const event of model.sample(request)) {
      pixels = Uint8Array.from(event.pixels);
      if (++seen === most) break;
    }
    return pixels;
  };
  using plain = await system.open(description, weights, cpu);
  using model = await system.open(description, weights, keeping.device);
  expect(await draw(model)).toEqual(await draw(plain));
  expect(keeping.kept).toBeGreaterThan(2);
  expect(keeping.living).toBe(0);
  await draw(model, 2);
  expect(keeping.living).toBe(0);
  stop = new AbortController(); // while a pass runs
  await expect(draw(model, 9, stop.signal)).rejects.toMatchObject({ code: "ABORTED" });
  expect(keeping.living).toBe(0);
});
