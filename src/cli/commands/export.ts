/** `nextx export MODEL`: one of the model's programs as .onnx, weights inside. */
import type { Command } from "commander";
import { load } from "../../load.node.ts";
import type { Context } from "../context.ts";
import { requireReplaceable, writeOutput } from "../files.ts";
import { print, printJson } from "../output.ts";

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  command
    .argument("<model>", "shipped model, system id, run folder or file")
    .option("--graph <name>", "program to write; without it they are listed")
    .option("-o, --out <file>", "file to write (default: <program>.onnx)")
    .option("--force", "replace an existing file")
    .option("--json", "machine output")
    .action(async (name: string, flags: { graph?: string; out?: string; force?: boolean }) => {
      using model = await load(name);
      if (flags.graph === undefined) {
        if (json) printJson({ graphs: model.graphNames });
        else print(`programs of ${model.name}: ${model.graphNames.join(", ")}`);
        return;
      }
      const out = flags.out ?? `${flags.graph}.onnx`;
      requireReplaceable(out, flags.force === true);
      const bytes = model.exportOnnx(flags.graph);
      await writeOutput(out, bytes);
      if (json) printJson({ out, bytes: bytes.length });
      else print(`${out}: ${(bytes.length / 2 ** 20).toFixed(1)} MB`);
    });
}
