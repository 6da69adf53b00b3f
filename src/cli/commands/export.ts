/** `nextx export MODEL`: one of the model's programs as .onnx, or its whole loop as a folder for any ONNX runtime. */
import { join } from "node:path";
import type { Command } from "commander";
import { exportLoop } from "../../exportLoop.node.ts";
import { load } from "../../load.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Context } from "../context.ts";
import { requireReplaceable, writeOutput } from "../files.ts";
import { interruptSignal, print, printJson } from "../output.ts";

interface Flags {
  readonly graph?: string;
  readonly out?: string;
  readonly onnx?: string;
  readonly schedule?: readonly number[];
  readonly force?: boolean;
}

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  command
    .argument("<model>", "shipped model, system id, run folder or file")
    .option("--onnx <folder>", "the whole loop: graphs over one weights file, and manifest.json")
    .option("--schedule <n,n,...>", "with --onnx: sides of the scales, where the system takes any", (text) =>
      text.split(",").map(Number),
    )
    .option("--graph <name>", "one program to write, weights inside; without it they are listed")
    .option("-o, --out <file>", "file to write (default: <program>.onnx)")
    .option("--force", "replace an existing file or folder")
    .option("--json", "machine output")
    .action((name: string, flags: Flags) => {
      requireOneForm(flags);
      return flags.onnx === undefined
        ? exportGraph(name, flags, json)
        : exportFolder(name, flags.onnx, flags, json);
    });
}

/** The loop as a folder, or one program: what belongs to the other is a mistake. */
function requireOneForm({ onnx, graph, out, schedule }: Flags): void {
  const message =
    onnx === undefined
      ? schedule && "--schedule belongs to --onnx FOLDER."
      : (graph ?? out) !== undefined && "--onnx writes all programs: --graph and --out are for one.";
  if (message) throw new NextxError("CLI_FLAGS_CONTRADICT", message, { path: "onnx" });
}

async function exportFolder(name: string, folder: string, flags: Flags, json: boolean): Promise<void> {
  const settings = flags.schedule ? { schedule: flags.schedule } : {};
  const options = { settings, force: flags.force === true, signal: interruptSignal() };
  const manifest = await exportLoop(name, folder, options);
  if (json) return printJson({ out: folder, manifest });
  print(
    `${folder}: ${Object.keys(manifest.graphs).join(", ")}; weights.safetensors; manifest.json; programs`,
  );
  const flagsOfBoth = "--class 0 --seed 0 --out picture.ppm";
  print(`next: npm install onnxruntime-node, then node ${join(folder, "loop.mjs")} ${flagsOfBoth}`);
  print(`  or: pip install onnxruntime numpy, then python3 ${join(folder, "loop.py")} ${flagsOfBoth}`);
}

async function exportGraph(name: string, flags: Flags, json: boolean): Promise<void> {
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
}
