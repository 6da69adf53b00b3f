/** `nextx bench quantize`: how long quantising takes, and how large and exact the result is, beside the original's size. */
import { join } from "node:path";
import { throwIfAborted } from "../../decoding/loop.ts";
import { quantize } from "../../quantize.node.ts";
import { openDevice } from "../../runtime/device.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import { benchModel, workFolder } from "./benchModel.ts";
import type { Bench } from "./types.ts";

const forms = {
  f16: { to: "f16" },
  int8: { to: "int8" },
  "int8, calibrated convolutions": { to: "int8", convolutions: "calibrated" },
  int4: { to: "int4" },
} as const;

interface FormTime {
  readonly form: string;
  readonly ms: number;
  readonly sizeBytes: number;
  readonly sizeRatio: number;
  readonly layers: number;
  readonly meanError: number;
  readonly largestError: number;
}

const isNothingToDo = (error: unknown): boolean =>
  error instanceof NextxError && error.code === "QUANTIZE_NOTHING";

export const quantizeBench: Bench = async (flags) => {
  using folder = workFolder();
  const source = await benchModel(flags, folder.path);
  const times: FormTime[] = [];
  let sourceBytes = 0;
  for (const [form, options] of Object.entries(forms)) {
    throwIfAborted(flags.signal);
    const start = performance.now();
    const work = quantize(source, join(folder.path, "out.safetensors"), {
      ...options,
      threads: flags.threads,
      count: 1,
      ...(flags.signal && { signal: flags.signal }),
    });
    const report = await work.catch((error: unknown) => {
      if (isNothingToDo(error)) return undefined; // halves already
      throw error;
    });
    if (report === undefined) continue;
    const errors = report.layers.map(({ error }) => error);
    sourceBytes = report.sourceBytes;
    times.push({
      form,
      ms: performance.now() - start,
      sizeBytes: report.sizeBytes,
      sizeRatio: report.sizeBytes / sourceBytes,
      layers: errors.length,
      meanError: errors.reduce((a, b) => a + b, 0) / errors.length,
      largestError: Math.max(...errors),
    });
  }
  const percent = (part: number) => `${(100 * part).toFixed(2)} %`;
  return {
    device: await openDevice(flags),
    numbers: { model: flags.official ?? source, sourceBytes, times },
    lines: times.map(
      ({ form, ms, sizeBytes, sizeRatio, layers, meanError, largestError }) =>
        `${form}: ${(ms / 1000).toFixed(1)} s, ${(sizeBytes / 1e6).toFixed(2)} MB, ${sizeRatio.toFixed(2)} of the original; ${layers} layers, mean error ${percent(meanError)}, largest ${percent(largestError)}`,
    ),
  };
};
