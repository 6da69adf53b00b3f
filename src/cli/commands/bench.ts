/** `nextx bench engine`: training steps in milliseconds, beside PyTorch where a Python with it is named. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { type EngineTimes, measureEngine } from "../../evaluate/bench/engine.ts";
import { type KernelTime, profileStep } from "../../evaluate/bench/profile.node.ts";
import { convStep, transformerStep } from "../../evaluate/bench/steps.ts";
import { packageRoot } from "../../models.node.ts";
import { openDevice } from "../../runtime/device.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { addDeviceFlags, type DeviceFlags } from "../deviceFlags.ts";
import { integer } from "../numbers.ts";
import { print, printJson } from "../output.ts";

interface Reference {
  readonly torch: string;
  readonly parameters: number;
  readonly median_ms: number;
}

interface Flags extends DeviceFlags {
  readonly steps: number;
  readonly python?: string;
  readonly profile?: boolean;
}

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  addDeviceFlags(command)
    .argument("<what>", "engine")
    .option("--steps <n>", "measured steps", integer(3, 10_000), 15)
    .option("--python <file>", "a Python that has PyTorch: runs bench/reference_*.py before and after")
    .option("--profile", "also where the time goes, kernel by kernel")
    .option("--json", "machine output")
    .action(async (what: string, flags: Flags) => {
      if (what !== "engine")
        throw new NextxError("CLI_UNKNOWN_BENCH", `There is no bench "${what}".`, {
          hint: "There is engine.",
        });
      const scripts = { transformer: "reference_step.py", "conv autoencoder": "reference_conv.py" };
      const { python, threads, steps } = flags;
      const torchDevice = flags.device === "cpu" || flags.device === "wasm" ? "cpu" : "cuda";
      const references = async () =>
        python === undefined
          ? []
          : [
              await reference(python, scripts.transformer, [
                `${threads}`,
                "float32",
                `${steps + 3}`,
                torchDevice,
              ]),
              await reference(python, scripts["conv autoencoder"], [`${threads}`, `${steps}`, torchDevice]),
            ];
      const before = await references();
      const device = await openDevice(flags);
      const times = await measureEngine(device, steps);
      const after = await references();
      const profiles = flags.profile
        ? {
            transformer: await profileStep(transformerStep(), device),
            conv: await profileStep(convStep(), device),
          }
        : undefined;
      if (json) printJson({ ...times, torchBefore: before, torchAfter: after, profiles });
      else report(times, before, after);
      if (profiles && !json)
        for (const [name, kernels] of Object.entries(profiles)) reportKernels(name, kernels);
    });
}

function reference(python: string, script: string, args: readonly string[]): Promise<Reference> {
  const path = join(packageRoot(), "bench", script);
  if (!existsSync(path))
    throw new NextxError("BENCH_NO_REFERENCE", `${path} is missing: it is in the repository only.`, { path });
  const child = spawn(python, [path, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  child.stdout.on("data", (data) => {
    out += data;
  });
  return new Promise((resolve, reject) => {
    const fail = (reason: string) =>
      reject(new NextxError("BENCH_REFERENCE_FAILED", `${script}: ${reason}.`, { path: python }));
    child.on("error", (error) => fail(error.message));
    child.on("close", (code) =>
      code === 0 ? resolve(JSON.parse(out) as Reference) : fail(`exit code ${code}`),
    );
  });
}

function reportKernels(name: string, kernels: readonly KernelTime[]): void {
  print(`\n${name}, kernels of one step:`);
  for (const { kernel, calls, ms, share } of kernels.slice(0, 15))
    print(
      `  ${kernel.padEnd(24)} ${ms.toFixed(1).padStart(8)} ms ${(100 * share).toFixed(1).padStart(5)} %  ${calls} calls`,
    );
}

function report(times: EngineTimes, before: readonly Reference[], after: readonly Reference[]): void {
  print(
    `${times.runtime}, ${times.threads} threads; product of 1024 x 1024: ${times.matmulGflops.toFixed(0)} GFLOP/s`,
  );
  times.steps.forEach(({ name, parameters, buildMs, stepMs }, i) => {
    const [a, b] = [before[i], after[i]];
    const torch = a && b ? (a.median_ms + b.median_ms) / 2 : undefined;
    const ratio =
      torch && a && b
        ? `; PyTorch ${a.torch} ${a.median_ms} and ${b.median_ms} ms (before, after): ratio ${(stepMs / torch).toFixed(2)}`
        : "";
    print(
      `${name}: ${stepMs.toFixed(0)} ms a step, built in ${buildMs.toFixed(0)} ms, ${parameters} parameters${ratio}`,
    );
  });
}
