/** `nextx parity FOLDER`: every check of a folder of reference numbers; exit code 0 only when all ran and passed. */
import type { Command } from "commander";
import type { CheckResult } from "../../evaluate/parity.ts";
import { parity } from "../../parity.node.ts";
import type { Context } from "../context.ts";
import { addDeviceFlags, type DeviceFlags } from "../deviceFlags.ts";
import { exitCodes, print, printJson } from "../output.ts";

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  addDeviceFlags(command)
    .argument("<folder>", "folder with case.json, weights and tensors")
    .option("--only <name>", "run one check")
    .option("--json", "machine output")
    .action(async (folder: string, flags: DeviceFlags & { only?: string }) => {
      let [passed, failed] = [0, 0];
      for await (const result of parity(folder, flags)) {
        if (result.pass) passed++;
        else failed++;
        if (json) printJson(result);
        else report(result);
      }
      if (json) printJson({ passed, failed });
      else print(`${passed} passed, ${failed} failed`);
      if (failed > 0) process.exitCode = exitCodes.failed;
    });
}

const figure = (value: number): string => (Number.isNaN(value) ? "-" : value.toExponential(1));

function report({ name, run, pass, outputs, error }: CheckResult): void {
  print(`${pass ? "pass" : "FAIL"} ${name} (${run})${error === undefined ? "" : `: ${error}`}`);
  for (const { output, maxAbs, maxRel, pass: good, reason } of outputs) {
    print(
      `  ${good ? "     " : "FAIL "}${output}: abs ${figure(maxAbs)}, rel ${figure(maxRel)}${reason && `; ${reason}`}`,
    );
  }
}
