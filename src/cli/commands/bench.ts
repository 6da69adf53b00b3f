/** `nextx bench WHAT`: what things cost on this machine, next to named baselines. */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { Command } from "commander";
import { machineClass } from "../../runtime/device.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import { engineBench } from "../benches/engine.ts";
import type { Bench, BenchFlags } from "../benches/types.ts";
import type { Context } from "../context.ts";
import { addDeviceFlags } from "../deviceFlags.ts";
import { writeOutput } from "../files.ts";
import { integer } from "../numbers.ts";
import { print, printJson } from "../output.ts";

const benches: Readonly<Record<string, Bench>> = { engine: engineBench };

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  addDeviceFlags(command)
    .argument("<what>", Object.keys(benches).join(", "))
    .option("--steps <n>", "measured steps", integer(3, 10_000), 15)
    .option("--python <file>", "a Python that has PyTorch: runs the baseline before and after")
    .option("--profile", "also where the time goes, kernel by kernel")
    .option("-o, --out <file>", "JSON file to write")
    .option("--json", "machine output")
    .action(async (what: string, flags: BenchFlags) => {
      const bench = Object.hasOwn(benches, what) ? benches[what] : undefined;
      if (bench === undefined)
        throw new NextxError("CLI_UNKNOWN_BENCH", `There is no bench "${what}".`, {
          hint: `There is ${Object.keys(benches).join(", ")}.`,
        });
      const { device, numbers, lines } = await bench(flags);
      const machine = machineClass(device);
      const report = { bench: what, machine, ...numbers };
      if (flags.out !== undefined) {
        await mkdir(dirname(flags.out), { recursive: true });
        await writeOutput(flags.out, new TextEncoder().encode(`${JSON.stringify(report, null, 1)}\n`));
      }
      if (json) printJson(report);
      else for (const line of [machine, ...lines]) print(line);
    });
}
