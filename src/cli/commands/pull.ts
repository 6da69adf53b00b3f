/** `nextx pull OWNER/NAME:FILE`: files of a model hub, resumed and verified. */
import type { Command } from "commander";
import { defaultHub, pullFromHub } from "../../data/hub.node.ts";
import { shellWord } from "../../formats/shellWord.ts";
import type { Context } from "../context.ts";
import { interruptSignal, ProgressLine, print, printJson } from "../output.ts";

interface Flags {
  readonly out: string;
  readonly revision: string;
  readonly hub: string;
}

/** Declares the command. */
export function define(command: Command, { json }: Context): void {
  command
    .argument("<name...>", "OWNER/NAME:FILE; without FILE the only checkpoint there")
    .option("-o, --out <folder>", "where to put files", ".")
    .option("--revision <name>", "branch, tag or commit", "main")
    .option("--hub <address>", "address of the hub", defaultHub)
    .option("--json", "machine output")
    .action(async (names: readonly string[], { out, revision, hub }: Flags) => {
      const signal = interruptSignal();
      const line = new ProgressLine();
      const paths: string[] = [];
      const mega = (bytes: number) => (bytes / 1e6).toFixed(1);
      for (const name of names) {
        const onProgress = (file: string, received: number, total: number) =>
          line.update(`${file}: ${mega(received)} of ${mega(total)} MB`);
        paths.push(...(await pullFromHub(name, out, { hub, revision, signal, onProgress })));
      }
      line.end();
      if (json) return printJson({ files: paths });
      for (const path of paths) print(path);
      print(`next: nextx inspect ${shellWord(paths[0] ?? "")}`);
    });
}
