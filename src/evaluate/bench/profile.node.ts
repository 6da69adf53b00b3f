/** Where a training step spends its time: the runtime's own profile, summed per kernel. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { initialise } from "../../nn/scope.ts";
import type { TrainingTask } from "../../regimen/trainer.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { NextxError } from "../../tensor/errors.ts";
import { RandomStream } from "../../tensor/random.ts";

/** One kind of kernel in one step. */
export interface KernelTime {
  readonly kernel: string;
  /** Calls per step. */
  readonly calls: number;
  /** Milliseconds per step. */
  readonly ms: number;
  /** Part of all kernels' time. */
  readonly share: number;
}

const eventSchema = z.looseObject({
  cat: z.string(),
  name: z.string(),
  dur: z.number(),
  args: z.looseObject({ op_name: z.string().optional() }).optional(),
});

type ProfileEvent = z.infer<typeof eventSchema>;

/** A GPU's own time of a shader: `node&op&shader`. */
const isShader = ({ cat, name }: ProfileEvent) => cat === "Api" && name.includes("&");
const isNode = ({ cat, name }: ProfileEvent) => cat === "Node" && name.endsWith("_kernel_time");

/**
 * Sums a profile's kernel events over `steps` steps, longest first: the shaders of a GPU where it tells their times (a node's
 * time is what it took to ask for them), else the nodes.
 */
export function sumKernels(events: readonly unknown[], steps: number): KernelTime[] {
  const known = events.flatMap((event) => eventSchema.safeParse(event).data ?? []);
  const shaders = known.filter(isShader);
  const sums = new Map<string, { calls: number; ms: number }>();
  let total = 0;
  for (const { name, dur, args } of shaders.length > 0 ? shaders : known.filter(isNode)) {
    const kernel = shaders.length > 0 ? (name.split("&").at(-1) ?? name) : (args?.op_name ?? "unknown");
    const sum = sums.get(kernel) ?? { calls: 0, ms: 0 };
    sums.set(kernel, { calls: sum.calls + 1 / steps, ms: sum.ms + dur / 1000 / steps });
    total += dur / 1000 / steps;
  }
  return [...sums]
    .map(([kernel, { calls, ms }]) => ({ kernel, calls: Math.round(calls), ms, share: ms / total }))
    .sort((a, b) => b.ms - a.ms);
}

/** Runs a task's program a few times with profiling on. @throws NextxError BENCH_NO_PROFILE */
export async function profileStep(task: TrainingTask, device: Device, steps = 5): Promise<KernelTime[]> {
  const folder = mkdtempSync(join(tmpdir(), "nextx-profile-"));
  try {
    const weights = initialise(task.parameters, RandomStream.from(0, "bench"));
    const program = await compile(task.graph, { device, weights: task.frozen, profile: join(folder, "p") });
    try {
      for (let i = 0; i < steps; i++) {
        const batch = await task.nextBatch({ step: i, weights, device });
        await program.run(batch, weights);
      }
    } finally {
      program[Symbol.dispose]();
    }
    const [file] = readdirSync(folder);
    if (file === undefined)
      throw new NextxError("BENCH_NO_PROFILE", "The runtime wrote no profile.", { path: folder });
    return sumKernels(JSON.parse(readFileSync(join(folder, file), "utf8")), steps);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
