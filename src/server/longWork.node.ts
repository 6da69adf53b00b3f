/** Everything for runs and other long work, put together. */
import { resolve as absolute } from "node:path";
import type { Catalogue } from "./catalogue.node.ts";
import { FileShelf } from "./fileShelf.node.ts";
import { Models } from "./models.node.ts";
import { OperationStore } from "./operations/operationStore.node.ts";
import { Operations } from "./operations/operations.node.ts";
import { OperatorProcesses } from "./operations/operatorProcess.node.ts";
import { resolveWork } from "./resolveWork.node.ts";
import { RunLibrary } from "./runLibrary.node.ts";
import { Runs } from "./runs.node.ts";

export interface LongWorkOptions {
  readonly operator: URL;
  readonly operations: string;
  readonly runs: string;
  /** Folder of files that clients bring and that work makes. */
  readonly files: string;
  readonly results: string;
  readonly dataRoot: string | undefined;
  readonly device: string;
  readonly threads: number;
  readonly version: string;
}

export interface LongWork extends AsyncDisposable {
  readonly operations: Operations;
  readonly runs: Runs;
  readonly library: RunLibrary;
  readonly models: Models;
}

/** Opens the store and takes up what was left. @throws NextxError RUN_LOCKED, FILE_ codes */
export async function openLongWork(options: LongWorkOptions, catalogue: Catalogue): Promise<LongWork> {
  const { runs: folder, results, dataRoot, device, threads, version } = options;
  const store = await OperationStore.open(options.operations);
  const shelf = new FileShelf(options.files);
  const operators = new OperatorProcesses(options.operator, { device, threads, version, dataRoot });
  const secret = [
    [absolute(options.files), "files"],
    [absolute(folder), "runs"],
    [absolute(results), "results"],
    ...(dataRoot === undefined
      ? []
      : [
          [absolute(dataRoot), "data"],
          [dataRoot, "data"],
        ]),
  ] as const;
  const hide = (text: string) =>
    secret.reduce((so, [path = "", name = ""]) => so.replaceAll(path, name), text);
  const operations = new Operations({
    store,
    operators,
    resolve: (request) => resolveWork(request, { runs: folder, results, catalogue, shelf }),
    hide,
  });
  await operations.recover();
  const library = new RunLibrary(folder);
  return {
    operations,
    library,
    models: new Models({ catalogue, shelf, operations, operators, hide }),
    runs: new Runs({ catalogue, library, operations, operators, results }),
    [Symbol.asyncDispose]: async () => {
      operators[Symbol.dispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}
