/**
 * `nextx bench sample`: a model in float32, int8, and int8 with calibrated convolutions, each in a process of its own, with
 * float32 first and last; and the authors' PyTorch code before and after, where it is named. On a GPU float32 only, and PyTorch
 * on CUDA: integer products have kernels on processors.
 */
import { join } from "node:path";
import { z } from "zod";
import { throwIfAborted } from "../../decoding/loop.ts";
import { quantize } from "../../quantize.node.ts";
import { openDevice } from "../../runtime/device.node.ts";
import { measureSamplingApart, type SampleTimes } from "../../sampleTimes.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import { benchModel, workFolder } from "./benchModel.ts";
import { onGpu, reference } from "./python.ts";
import { timeLines } from "./sampleOnce.ts";
import { benchSettings, benchSystem } from "./settings.ts";
import type { Bench, BenchFlags } from "./types.ts";

const authorsSchema = z.looseObject({ torch: z.string(), median_ms: z.number(), peak_bytes: z.number() });
type Authors = z.infer<typeof authorsSchema>;

/** Whether the authors' code can be measured beside. @throws NextxError CLI_BENCH_NEEDS_PYTHON, CLI_BENCH_OTHER_AUTHORS */
async function requireAuthors(flags: BenchFlags): Promise<void> {
  if (flags.authors === undefined) return;
  if (flags.python === undefined) {
    throw new NextxError("CLI_BENCH_NEEDS_PYTHON", "The authors' code needs a Python with PyTorch.", {
      path: "python",
      hint: "Name one: --python /usr/bin/python3",
    });
  }
  const { id, title } = await benchSystem(flags);
  if (id === "var") return;
  throw new NextxError("CLI_BENCH_OTHER_AUTHORS", `The authors' code is VAR's, not that of ${title}.`, {
    path: "authors",
    hint: "Measure a published size of VAR: --official var-d16",
  });
}

async function authors(flags: BenchFlags): Promise<Authors[]> {
  const { authors: folder, python, threads, steps = 5, depth = 16, device, signal } = flags;
  if (folder === undefined || python === undefined) return [];
  const place = onGpu(device) ? "cuda" : "cpu";
  const runs: Authors[] = [];
  for (const pictures of [1, 8]) {
    throwIfAborted(signal);
    const args = [folder, threads, pictures, steps, depth, place].map(String);
    runs.push(authorsSchema.parse(await reference(python, "authors_var.py", args)));
  }
  return runs;
}

function once(
  path: string,
  { device, threads, steps = 5, settings, signal }: BenchFlags,
): Promise<SampleTimes> {
  throwIfAborted(signal);
  return measureSamplingApart(path, {
    ...{ device, threads, runs: steps },
    ...(settings !== undefined && { settings }),
  });
}

const msOf = ({ counts }: SampleTimes, i: number): number => counts[i]?.medianMs ?? Number.NaN;
const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

export const sampleBench: Bench = async (flags) => {
  const settings = await benchSettings(flags);
  await requireAuthors(flags);
  const told: BenchFlags = settings === undefined ? flags : { ...flags, settings: JSON.stringify(settings) };
  using folder = workFolder();
  const source = await benchModel(flags, folder.path);
  const files: [string, string][] = [];
  for (const convolutions of onGpu(flags.device) ? [] : (["float", "calibrated"] as const)) {
    const name = convolutions === "float" ? "int8" : "int8, calibrated convolutions";
    const path = join(folder.path, `${convolutions}.safetensors`);
    const { threads, signal } = flags;
    const options = { ...{ to: "int8", convolutions, count: 1, threads }, ...(signal && { signal }) };
    await quantize(source, path, options);
    files.push([name, path]);
  }
  const before = await authors(told);
  const first = await once(source, told);
  const forms: (readonly [string, SampleTimes])[] = [];
  for (const [name, path] of files) forms.push([name, await once(path, told)]);
  const last = await once(source, told);
  const after = await authors(told);
  const float = [0, 1].map((i) => meanOf([msOf(first, i), msOf(last, i)]));
  const torch = [0, 1].map((i) => meanOf([before, after].flatMap((runs) => runs[i]?.median_ms ?? [])));
  const ratio = (times: SampleTimes, to: readonly number[]) =>
    [0, 1].map((i) => (msOf(times, i) / (to[i] as number)).toFixed(2)).join(" and ");
  const all = [["float32", first], ...forms, ["float32 again", last]] as const;
  return {
    device: await openDevice(flags),
    numbers: {
      model: flags.official ?? source,
      ...(flags.depth !== undefined && { depth: flags.depth }),
      ...(settings !== undefined && { settings }),
      times: Object.fromEntries(all),
      authorsBefore: before,
      authorsAfter: after,
    },
    lines: all.flatMap(([name, times]) => [
      `${name}: ${ratio(times, float)} of float32 (1 and 8 pictures)`,
      ...(before.length > 0
        ? [`  ${ratio(times, torch)} of the authors' code, PyTorch ${before[0]?.torch}`]
        : []),
      ...timeLines(times).map((line) => `  ${line}`),
    ]),
  };
};
