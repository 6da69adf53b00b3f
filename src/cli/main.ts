/**
 * Entry of the command line: the grammar. A command's code is imported when it runs, so that help stays fast. Flags of
 * `train` and `sample` come from the schema of the system they are about, so their grammar is made in two steps.
 */
import { Command, CommanderError } from "commander";
import { NextxError } from "../tensor/errors.ts";
import type { Context } from "./context.ts";

const commands = {
  demo: "SAR in a minute: refine, draw, measure; or pictures of a model",
  train: "train a system from a recipe, or continue a run",
  sample: "make pictures with a model",
  eval: "measure a model against held-out pictures",
  dynamics: "what scale-wise models know on the true past and on their own",
  forecast: "continue the series of a table, and test it on known rows",
  claim: "measure what a system claims, or check a result",
  arena: "train and compare systems under one budget of time",
  reproduce: "make a picture again from the recipe inside it",
  list: "systems, recipes, models and data sets",
  data: "picture data sets: list, get, show",
  inspect: "say what a model, run, checkpoint or picture is",
  pull: "get files of a model hub by id, verified",
  convert: "published checkpoints (.pth, .safetensors) as a model file",
  quantize: "a model in fewer bits, with every layer's error",
  parity: "compare a system with numbers of its authors' code",
  export: "write a model's programs as .onnx",
  serve: "the studio and the HTTP API",
  studio: "the studio as a static site",
  bench: "measure the engine",
  doctor: "check this machine and installation",
} as const;

const loaders = {
  demo: () => import("./commands/demo.ts"),
  train: () => import("./commands/train.ts"),
  sample: () => import("./commands/sample.ts"),
  eval: () => import("./commands/eval.ts"),
  dynamics: () => import("./commands/dynamics.ts"),
  forecast: () => import("./commands/forecast.ts"),
  claim: () => import("./commands/claim.ts"),
  arena: () => import("./commands/arena.ts"),
  reproduce: () => import("./commands/reproduce.ts"),
  list: () => import("./commands/list.ts"),
  data: () => import("./commands/data.ts"),
  inspect: () => import("./commands/inspect.ts"),
  pull: () => import("./commands/pull.ts"),
  convert: () => import("./commands/convert.ts"),
  quantize: () => import("./commands/quantize.ts"),
  parity: () => import("./commands/parity.ts"),
  export: () => import("./commands/export.ts"),
  serve: () => import("./commands/serve.ts"),
  studio: () => import("./commands/studio.ts"),
  bench: () => import("./commands/bench.ts"),
  doctor: () => import("./commands/doctor.ts"),
} as const;

type CommandName = keyof typeof commands;
const isCommand = (name: string | undefined): name is CommandName =>
  name !== undefined && Object.hasOwn(commands, name);

/** Runs one command line; `argv` without node and script. Sets the exit code. */
export async function main(given: readonly string[], version: string): Promise<void> {
  const [first, about, ...more] = given;
  const argv = first === "help" && isCommand(about) ? [about, ...more, "--help"] : given;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0); // the reader of a pipe had enough
    process.stderr.write(`error FILE_IO: The output cannot be written: ${error.code}.\n`);
    process.exit(1);
  });
  process.stderr.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error; // nobody reads the progress: the work goes on
  });
  const json = argv.includes("--json");
  const program = new Command("nextx")
    .description("Autoregressive generation beyond the next token.")
    .version(version)
    .exitOverride()
    .configureOutput(json ? { writeErr: () => undefined } : {}) // told as JSON below
    .showHelpAfterError("Run with --help to see what there is.");
  const name = argv.find((word) => !word.startsWith("-"));
  for (const [command, description] of Object.entries(commands)) {
    if (command !== name) program.command(command).description(description).helpOption(false);
  }
  const { exitCodeOf, printError } = await import("./output.ts");
  try {
    if (isCommand(name)) {
      const command = program.command(name).description(commands[name]).exitOverride();
      const context: Context = { version, json, argv: argv.slice(argv.indexOf(name) + 1) };
      await (await loaders[name]()).define(command, context);
    }
    await program.parseAsync([...argv], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      const message = error.message.replace(/^error: /, "");
      if (json && error.exitCode !== 0) printError(new NextxError("CLI_USAGE", message), json);
      return;
    }
    printError(error, json);
    process.exitCode = exitCodeOf(error);
  }
}
