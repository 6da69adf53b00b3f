/** Passes, work and time of next-cell prediction against the next token: same network, same cache, same steps per entity. */
import { flowGroupGraph } from "../../decoding/flowGroupGenerator.ts";
import { streamNoise } from "../../decoding/flowPaths.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import type { Arm } from "../../evaluate/claim/arms.node.ts";
import { initialise } from "../../nn/scope.ts";
import { multiplyAdds } from "../../runtime/cost.ts";
import type { Device } from "../../runtime/device.ts";
import { buildXar } from "../../systems/xar/build.ts";
import type { XarModelConfig } from "../../systems/xar/config.ts";
import { type GenerateOptions, generateEntities } from "../../systems/xar/generate.ts";
import type { XarTransformer } from "../../systems/xar/model.ts";
import { xarSystem } from "../../systems/xar/system.ts";
import { RandomStream } from "../../tensor/random.ts";
import { type Contender, contestArm, countResults, timed } from "../timing.ts";
import { configOf, type EntityOptions, sideNames } from "./sides.ts";

export interface XarSpeedOptions {
  readonly batches: readonly number[];
  readonly repeats: number;
}

export const xarSpeedOptions: XarSpeedOptions = { batches: [1, 16], repeats: 3 };

export const speedName = "speed";

/** Multiply-adds of guided generation of one image, without the decoder. */
function generationWork(model: XarTransformer, steps: number): number {
  const outputs = Object.values(flowGroupGraph(model, 2).outputs);
  const pass = (N: number, M: number, T: number) =>
    multiplyAdds(outputs, new Map(Object.entries({ B: 1, N, M, T })));
  return model.plan.groups.reduce((total, { index, size, start }) => {
    const before = model.plan.groups[index - 1]?.size ?? 0; // enters the cache with the first pass
    const first = pass(before + size, start - before, before > 0 ? 2 : 1);
    return total + first + (steps - 1) * pass(size, start, 1);
  }, 0);
}

function contender(config: XarModelConfig, options: GenerateOptions, device: Device): Contender {
  const { transformer } = buildXar(config);
  const specs = xarSystem.parameters({ system: "xar", config, classNames: [], imageSize: 0 });
  const counted = timed(device);
  const programs = new ProgramStore(initialise(specs, RandomStream.from(1, "speed")), counted.device);
  return {
    generate: async (labels, streams, signal) => {
      const before = counted.runs();
      const noise = streamNoise(transformer.valueWidth, streams);
      const settings = { ...options, ...(signal && { signal }) };
      await countResults(generateEntities(transformer, programs, labels, settings, noise));
      return counted.runs() - before;
    },
    counted: { multiplyAdds: generationWork(transformer, options.steps) },
    [Symbol.dispose]: () => programs[Symbol.dispose](),
  };
}

/** Sides `xar` and `token`. */
export function xarSpeedArm(
  options: EntityOptions,
  speed: XarSpeedOptions,
  device: Device,
  onProgress?: (text: string) => void,
): Arm {
  const sampling: GenerateOptions = { cfgScale: 1, solver: "euler-maruyama", steps: options.steps };
  const pair = { xar: configOf(sideNames.xar, options), token: configOf(sideNames.token, options) };
  const open = (on: Device) => ({
    xar: () => contender(pair.xar, sampling, on),
    token: () => contender(pair.token, sampling, on),
  });
  const definition = { pair, sampling };
  return contestArm({ name: speedName, definition, ...speed, numClasses: 16, open }, device, onProgress);
}
