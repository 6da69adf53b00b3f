/** The model file that a bench measures: one that is there, or a published size with random weights. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { throwIfAborted } from "../../decoding/loop.ts";
import { hostTensor } from "../../formats/hostTensor.ts";
import { modelMetadata } from "../../formats/modelFile.ts";
import { writeSafetensorsFile } from "../../formats/safetensors.node.ts";
import { suggestion } from "../../formats/suggest.ts";
import type { OfficialPreset } from "../../regimen/officialForm.ts";
import type { ImageSystem } from "../../regimen/system.ts";
import { imageSystems } from "../../systems/registry.ts";
import { NextxError } from "../../tensor/errors.ts";
import { RandomStream } from "../../tensor/random.ts";
import type { BenchFlags } from "./types.ts";

/** Removed with everything in it when disposed. */
export interface WorkFolder extends Disposable {
  readonly path: string;
}

/** A new one; removed also when the process exits before it was disposed. */
export function workFolder(): WorkFolder {
  const path = mkdtempSync(join(tmpdir(), "nextx-bench-"));
  const remove = () => rmSync(path, { recursive: true, force: true });
  process.once("exit", remove);
  return {
    path,
    [Symbol.dispose]: () => {
      process.off("exit", remove);
      remove();
    },
  };
}

/** What is measured when nothing is named. */
export const usualModel = "var";

/** A published size and the system it is of. */
export interface OfficialSize {
  readonly system: ImageSystem;
  readonly preset: OfficialPreset;
}

/** @throws NextxError BENCH_UNKNOWN_SIZE */
export function officialSize(official: string): OfficialSize {
  const presets = [...imageSystems.values()].flatMap((system) =>
    (system.official?.presets ?? []).map((preset) => ({ system, preset })),
  );
  const names = presets.map(({ preset }) => preset.name);
  const found = presets.find(({ preset }) => preset.name === official || preset.name === `var-${official}`);
  if (found === undefined) {
    throw new NextxError("BENCH_UNKNOWN_SIZE", `There is no published size "${official}".`, {
      path: "official",
      hint: suggestion(official, names),
    });
  }
  return found;
}

/** Name or path of the model. @throws NextxError BENCH_UNKNOWN_SIZE, ABORTED, and the codes of writing files */
export async function benchModel(
  { model, official, depth, signal }: BenchFlags,
  folder: string,
): Promise<string> {
  if (official === undefined) return model ?? usualModel;
  const { system, preset } = officialSize(official);
  const { config, imageSize, numClasses } = preset;
  const path = join(folder, `${preset.name}.safetensors`);
  const own = depth === undefined ? config : withDepth(config, depth);
  await writeRandomModel(system, { config: own, imageSize, numClasses }, path, signal);
  return path;
}

/** A model file of a configuration with random weights. @throws NextxError ABORTED, and the codes of writing files */
export async function writeRandomModel(
  system: ImageSystem,
  { config, imageSize, numClasses }: Pick<OfficialPreset, "config" | "imageSize" | "numClasses">,
  path: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const classNames = Array.from({ length: numClasses }, (_, i) => String(i));
  const description = { system: system.id, config, classNames, imageSize };
  const specs = system.parameters(description);
  const stream = RandomStream.from(0, "bench");
  const tensors = new Map([...specs].map(([name, { shape }]) => [name, { dtype: "F32", shape } as const]));
  const read = async (name: string) => {
    throwIfAborted(signal);
    const spec = specs.get(name);
    if (spec === undefined) throw new NextxError("SAFETENSORS_NO_TENSOR", "Not announced.", { path: name });
    return hostTensor("F32", spec.shape, spec.initial(stream.fork(name), spec.shape));
  };
  await writeSafetensorsFile(path, { tensors, read }, modelMetadata(description));
}

function withDepth(config: unknown, depth: number): unknown {
  const { transformer, ...rest } = config as { transformer: Record<string, unknown> }; // presets have both parts
  return { ...rest, transformer: { ...transformer, depth } };
}
