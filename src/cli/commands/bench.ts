/** `nextx bench WHAT`: what things cost on this machine, next to named baselines. */
import { dirname } from "node:path";
import type { Command } from "commander";
import { throwIfAborted } from "../../decoding/loop.ts";
import { machineClass } from "../../runtime/device.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import { engineBench } from "../benches/engine.ts";
import { growthBench } from "../benches/growth.ts";
import { growthOnceBench } from "../benches/growthOnce.ts";
import { loadBench } from "../benches/load.ts";
import { quantizeBench } from "../benches/quantize.ts";
import { sampleBench } from "../benches/sample.ts";
import { sampleOnceBench } from "../benches/sampleOnce.ts";
import { serveBench } from "../benches/serve.ts";
import type { Bench, BenchFlags, BenchReport } from "../benches/types.ts";
import type { Context } from "../context.ts";
import { addDeviceFlags } from "../deviceFlags.ts";
import { makeFolder, requireReplaceable, writeOutput } from "../files.ts";
import { integer } from "../numbers.ts";
import { interruptSignal, print, printJson } from "../output.ts";

const benches: Readonly<Record<string, Bench>> = {
  engine: engineBench,
  sample: sampleBench,
  "sample-once": sampleOnceBench,
  growth: growthBench,
  "growth-once": growthOnceBench,
  load: loadBench,
  quantize: quantizeBench,
  serve: serveBench,
};

/** Ends between two parts on Ctrl-C, which also ends the programs that a bench has started. @throws NextxError ABORTED */
async function stoppable(bench: Bench, flags: BenchFlags): Promise<BenchReport> {
  const signal = interruptSignal();
  try {
    return await bench({ ...flags, signal });
  } catch (error) {
    throwIfAborted(signal); // what failed may be a program that was stopped too
    throw error;
  }
}

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  addDeviceFlags(command)
    .argument("<what>", Object.keys(benches).join(", "))
    .argument("[model]", "with sample, load, quantize: shipped model, system id, run folder or file")
    .option(
      "--steps <n>",
      "measured repetitions (default: 15 of engine, 3 of growth, else 5)",
      integer(1, 10_000),
    )
    .option("--official <size>", "instead of a model: a published size with random weights, such as var-d16")
    .option("--depth <n>", "with --official: fewer transformer blocks", integer(1, 64))
    .option("--settings <json>", "with sample: settings of the system")
    .option(
      "--authors <folder>",
      "with sample --official var-d16: a checkout of the authors' code, run by --python",
    )
    .option("--python <file>", "a Python that has PyTorch: runs the baseline before and after")
    .option("--profile", "also where the time goes, kernel by kernel")
    .option(
      "--trial",
      "with serve, growth: short loads or tiny sizes, to see that it works; the full ones take about ten minutes",
    )
    .option("--pictures <n>", "with growth-once: pictures drawn together", integer(1, 64))
    .option("-o, --out <file>", "JSON file to write")
    .option("--force", "replace an existing file")
    .option("--json", "machine output")
    .action(async (what: string, model: string | undefined, given: BenchFlags) => {
      const flags = model === undefined ? given : { ...given, model };
      const bench = Object.hasOwn(benches, what) ? benches[what] : undefined;
      if (bench === undefined)
        throw new NextxError("CLI_UNKNOWN_BENCH", `There is no bench "${what}".`, {
          hint: `There is ${Object.keys(benches).join(", ")}.`,
        });
      if (flags.out !== undefined) {
        await makeFolder(dirname(flags.out));
        requireReplaceable(flags.out, flags.force === true);
      }
      const { device, numbers, lines } = await stoppable(bench, flags);
      const machine = machineClass(device);
      const report = { bench: what, machine, ...numbers };
      if (flags.out !== undefined) {
        await writeOutput(flags.out, new TextEncoder().encode(`${JSON.stringify(report, null, 1)}\n`));
      }
      if (json) printJson(report);
      else for (const line of [machine, ...lines]) print(line);
    });
}
