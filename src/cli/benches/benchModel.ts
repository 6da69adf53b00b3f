/** The model file that a bench measures: one that is there, or a published size with random weights. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostTensor } from "../../formats/hostTensor.ts";
import { modelMetadata } from "../../formats/modelFile.ts";
import { writeSafetensorsFile } from "../../formats/safetensors.node.ts";
import { suggestion } from "../../formats/suggest.ts";
import { imageSystems } from "../../systems/registry.ts";
import { NextxError } from "../../tensor/errors.ts";
import { RandomStream } from "../../tensor/random.ts";
import type { BenchFlags } from "./types.ts";

/** Removed with everything in it when disposed. */
export interface WorkFolder extends Disposable {
  readonly path: string;
}

export function workFolder(): WorkFolder {
  const path = mkdtempSync(join(tmpdir(), "nextx-bench-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Name or path of the model. @throws NextxError BENCH_UNKNOWN_SIZE and the codes of writing files */
export async function benchModel({ model, official, depth }: BenchFlags, folder: string): Promise<string> {
  if (official === undefined) return model ?? "var";
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
  const { system, preset } = found;
  const { config, imageSize, numClasses } = preset;
  const description = {
    system: system.id,
    config: depth === undefined ? config : withDepth(config, depth),
    classNames: Array.from({ length: numClasses }, (_, i) => String(i)),
    imageSize,
  };
  const specs = system.parameters(description);
  const stream = RandomStream.from(0, "bench");
  const tensors = new Map([...specs].map(([name, { shape }]) => [name, { dtype: "F32", shape } as const]));
  const path = join(folder, `${preset.name}.safetensors`);
  const read = async (name: string) => {
    const spec = specs.get(name);
    if (spec === undefined) throw new NextxError("SAFETENSORS_NO_TENSOR", "Not announced.", { path: name });
    return hostTensor("F32", spec.shape, spec.initial(stream.fork(name), spec.shape));
  };
  await writeSafetensorsFile(path, { tensors, read }, modelMetadata(description));
  return path;
}

function withDepth(config: unknown, depth: number): unknown {
  const { transformer, ...rest } = config as { transformer: Record<string, unknown> }; // presets have both parts
  return { ...rest, transformer: { ...transformer, depth } };
}
