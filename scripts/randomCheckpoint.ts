/**
 * `node scripts/run.js random-checkpoint PRESET FOLDER [SEED]`: a published size with random weights in the authors' own
 * layout, one file per part (official names, derivable buffers left out), to try reading, converting and sampling where the
 * real files cannot be had. `nextx list` names the presets. One tensor at a time is in memory.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { hostTensor } from "../src/formats/hostTensor.ts";
import { writeSafetensorsFile } from "../src/formats/safetensors.node.ts";
import { imageSystems } from "../src/systems/registry.ts";
import { RandomStream } from "../src/tensor/random.ts";

/** Exit code. */
export async function main(
  _root: string,
  [name = "", folder, seed = "0"]: readonly string[],
): Promise<number> {
  const presets = [...imageSystems.values()].flatMap((system) =>
    (system.official?.presets ?? []).map((preset) => ({ system, preset })),
  );
  const found = presets.find(({ preset }) => preset.name === name);
  if (!found || folder === undefined) {
    console.error(
      `Usage: random-checkpoint ${presets.map(({ preset }) => preset.name).join("|")} FOLDER [SEED]`,
    );
    return 64;
  }
  const { system, preset } = found;
  const { config, imageSize } = preset;
  const specs = system.parameters({ system: system.id, config, classNames: [], imageSize });
  const stream = RandomStream.from(Number(seed), "random-checkpoint");
  mkdirSync(folder, { recursive: true });
  for (const part of system.official?.parts ?? []) {
    const own = [...specs].filter(([full]) => full.startsWith(part.prefix));
    const bare = new Map(own.map(([full, spec]) => [full.slice(part.prefix.length), spec]));
    const tensors = new Map([...bare].map(([own, { shape }]) => [own, { dtype: "F32", shape } as const]));
    const read = async (tensor: string) => {
      const spec = bare.get(tensor);
      if (!spec) throw new Error(`no parameter ${tensor}`);
      return hostTensor("F32", spec.shape, spec.initial(stream.fork(tensor), spec.shape));
    };
    const path = join(folder, `${name}-${part.name}.safetensors`);
    const { sizeBytes } = await writeSafetensorsFile(path, { tensors, read });
    console.log(`${path}: ${(sizeBytes / 1e6).toFixed(1)} MB`);
  }
  return 0;
}
