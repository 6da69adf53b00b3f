/** Time and work of next-neighbour prediction against the next-token one: same blocks, both cached, same guidance. */
import { latticeGraph } from "../../decoding/latticeGenerator.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import type { Arm } from "../../evaluate/claim/arms.node.ts";
import { initialise } from "../../nn/scope.ts";
import { multiplyAdds } from "../../runtime/cost.ts";
import type { Device } from "../../runtime/device.ts";
import { buildNar } from "../../systems/nar/build.ts";
import { type NarModelConfig, narModelSchema } from "../../systems/nar/config.ts";
import { generateTokens } from "../../systems/nar/generate.ts";
import type { LatticeTransformer } from "../../systems/nar/model.ts";
import { narRecipes } from "../../systems/nar/recipe.ts";
import { narSystem } from "../../systems/nar/system.ts";
import { RandomStream } from "../../tensor/random.ts";
import { type Contender, contestArm, countResults } from "../timing.ts";

export interface NarSpeedOptions {
  readonly batches: readonly number[];
  readonly repeats: number;
  /** Layers of the next-token side; next-neighbour's second head takes the last of them. */
  readonly layers: number;
}

/** dossier: batch 1 and 16. */
export const narSpeedOptions: NarSpeedOptions = { batches: [1, 16], repeats: 5, layers: 6 };

const numClasses = 16;
const sampling = { cfgScale: 1, cfgInterval: -1, topK: 0, topP: 0, temperature: 1 };

/** Both orders over a `side` x `side` map, as many layers each. */
function pairOf(side: number, layers: number) {
  const { tokenizer, transformer } = narRecipes["synth-32"].recipe;
  const config = (order: string, nLayer: number) =>
    narModelSchema.parse({
      tokenizer: { ...tokenizer, latentSide: side },
      transformer: { ...transformer, numClasses, nLayer, order },
    });
  return { nar: config("neighbour", layers - 1), raster: config("raster", layers) };
}

/** Multiply-adds of guided generation of one image, without the decoder. */
function generationWork(model: LatticeTransformer): number {
  const work = (fed: "prefix" | "group", symbols: Readonly<Record<string, number>>) =>
    multiplyAdds(Object.values(latticeGraph(model, 2, fed).outputs), new Map(Object.entries(symbols)));
  const fedGroups = model.plan.groups.slice(0, -1); // the last group is not fed
  return fedGroups.reduce(
    (total, { size, start }) => total + work("group", { B: 1, N: size, M: start + 1 }),
    work("prefix", { B: 1 }),
  );
}

function contender(config: NarModelConfig, device: Device): Contender {
  const { transformer } = buildNar(config);
  const specs = narSystem.parameters({ system: "nar", config, classNames: [], imageSize: 0 });
  const programs = new ProgramStore(initialise(specs, RandomStream.from(1, "speed")), device);
  return {
    generate: (labels, streams, signal) =>
      countResults(
        generateTokens(transformer, programs, labels, { ...sampling, ...(signal && { signal }) }, streams),
      ),
    counted: { multiplyAdds: generationWork(transformer) },
    [Symbol.dispose]: () => programs[Symbol.dispose](),
  };
}

/** Passes, work and time on a `side` x `side` map; sides `nar` and `raster`. */
export function narSpeedArm(
  side: number,
  { batches, repeats, layers }: NarSpeedOptions,
  device: Device,
  onProgress?: (text: string) => void,
): Arm {
  const pair = pairOf(side, layers);
  const open = (on: Device) => ({
    nar: () => contender(pair.nar, on),
    raster: () => contender(pair.raster, on),
  });
  const options = {
    name: `speed-${side}`,
    definition: { pair, sampling },
    batches,
    repeats,
    numClasses,
    open,
  };
  return contestArm(options, device, onProgress);
}
