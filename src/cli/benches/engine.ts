/** `nextx bench engine`: reference training steps, the runtime's own product, and PyTorch's steps before and after. */
import { z } from "zod";
import { throwIfAborted } from "../../decoding/loop.ts";
import { measureEngine, type StepTime } from "../../evaluate/bench/engine.ts";
import { type KernelTime, profileStep } from "../../evaluate/bench/profile.node.ts";
import { convStep, transformerStep } from "../../evaluate/bench/steps.ts";
import { openDevice } from "../../runtime/device.node.ts";
import { onGpu, reference } from "./python.ts";
import type { Bench, BenchFlags } from "./types.ts";

const referenceSchema = z.looseObject({ torch: z.string(), threads: z.number(), median_ms: z.number() });
type Reference = z.infer<typeof referenceSchema>;

const scripts = ["reference_step.py", "reference_conv.py"] as const;

/** PyTorch's steps, in the order of `measureEngine`'s; none without a Python. */
async function references({ python, threads, steps = 15, device }: BenchFlags): Promise<Reference[]> {
  if (python === undefined) return [];
  const place = onGpu(device) ? "cuda" : "cpu";
  const [transformer, conv] = scripts;
  return [
    await measured(python, transformer, [`${threads}`, "float32", `${steps + 3}`, place]),
    await measured(python, conv, [`${threads}`, `${steps}`, place]),
  ];
}

async function measured(python: string, script: string, args: readonly string[]): Promise<Reference> {
  return referenceSchema.parse(await reference(python, script, args)); // our own script
}

function stepLine({ name, parameters, multiplyAdds, buildMs, stepMs }: StepTime, gflops: number): string {
  const share = (2 * multiplyAdds) / stepMs / 1e6 / gflops;
  return `${name}: ${stepMs.toFixed(0)} ms a step at ${(100 * share).toFixed(0)} % of the product's rate, built in ${buildMs.toFixed(0)} ms, ${parameters} parameters`;
}

function against(stepMs: number, before: Reference | undefined, after: Reference | undefined): string {
  if (!before || !after) return "";
  const ratio = (2 * stepMs) / (before.median_ms + after.median_ms);
  return `; PyTorch ${before.torch} ${before.median_ms} and ${after.median_ms} ms (before, after): ratio ${ratio.toFixed(2)}`;
}

const kernelLines = (name: string, kernels: readonly KernelTime[]): string[] => [
  "",
  `${name}, kernels of one step:`,
  ...kernels
    .slice(0, 15)
    .map(
      ({ kernel, calls, ms, share }) =>
        `  ${kernel.padEnd(24)} ${ms.toFixed(1).padStart(8)} ms ${(100 * share).toFixed(1).padStart(5)} %  ${calls} calls`,
    ),
];

export const engineBench: Bench = async (flags) => {
  const before = await references(flags);
  throwIfAborted(flags.signal);
  const device = await openDevice(flags);
  const times = await measureEngine(device, flags.steps ?? 15);
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  throwIfAborted(flags.signal);
  const after = await references(flags);
  const profiles = flags.profile
    ? {
        transformer: await profileStep(transformerStep(), device),
        conv: await profileStep(convStep(), device),
      }
    : {};
  const { aloneMs, inTurnMs } = times.sessions;
  return {
    device,
    numbers: { ...times, peakBytes, torchBefore: before, torchAfter: after, profiles },
    lines: [
      `product of 1024 x 1024: ${times.matmulGflops.toFixed(0)} GFLOP/s`,
      ...times.steps.map(
        (step, i) => stepLine(step, times.matmulGflops) + against(step.stepMs, before[i], after[i]),
      ),
      `a program in ${aloneMs.toFixed(1)} ms alone, ${inTurnMs.toFixed(1)} ms in turn with three others: ratio ${(inTurnMs / aloneMs).toFixed(2)}`,
      `peak memory ${(peakBytes / 2 ** 20).toFixed(0)} MiB`,
      ...Object.entries(profiles).flatMap(([name, kernels]) => kernelLines(name, kernels)),
    ],
  };
};
