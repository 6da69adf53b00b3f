/**
 * Entry of the command line: the grammar. A command's code is imported when it runs, so that help stays fast.
 */
import { Command } from "commander";

/** Runs one command line; `argv` without node and script. */
export async function main(argv: readonly string[], version: string): Promise<void> {
  const program = new Command("nextx")
    .description("Autoregressive generation beyond the next token.")
    .version(version);
  program.command("demo").description("make a first picture").action(notYet);
  await program.parseAsync([...argv], { from: "user" });
}

function notYet(): void {
  process.stderr.write("nextx demo: no shipped checkpoint yet.\n");
  process.exitCode = 1;
}
