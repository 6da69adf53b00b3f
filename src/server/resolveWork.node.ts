/** Stored requests with the paths of this machine. */
import { existsSync } from "node:fs";
import { resolve as absolute, join } from "node:path";
import { runFile } from "../regimen/runFolderReader.node.ts";
import { fromFileName } from "../regimen/trainRun.node.ts";
import type { Catalogue } from "./catalogue.node.ts";
import type { FileShelf } from "./fileShelf.node.ts";
import type { Work } from "./operations/messages.ts";
import type { OperationRequest } from "./runProtocol.ts";

export interface Places {
  readonly runs: string;
  readonly results: string;
  readonly catalogue: Catalogue;
  readonly shelf: FileShelf;
}

/** Shipped names stay, paths become absolute. */
const absoluteName = (name: string): string => (/[\\/]/.test(name) ? absolute(name) : name);

/** Whether a begun run keeps the model that it went on from: it needs nothing that its request names. */
const keepsModel = (folder: string): boolean =>
  [runFile, fromFileName].every((name) => existsSync(join(folder, name)));

/** @throws NextxError MODEL_NOT_FOUND, FILE_NOT_HERE, FILE_NOT_WHOLE */
export async function resolveWork(
  request: OperationRequest,
  { runs, results, catalogue, shelf }: Places,
): Promise<Work> {
  const modelOf = async (id: string) => absoluteName((await catalogue.find(id)).name);
  switch (request.kind) {
    case "train": {
      const { run, system, checkpointEvery, observeEvery } = request;
      const folder = absolute(runs, run);
      const begin = keepsModel(folder) ? undefined : request.begin;
      const from = begin?.from === undefined ? undefined : await modelOf(begin.from);
      return {
        kind: "train",
        ...{ system, folder, checkpointEvery, observeEvery },
        begin: begin && { recipe: begin.recipe, overrides: begin.overrides, from },
      };
    }
    case "claim":
      return { kind: "claim", system: request.system, results: absolute(results), arms: request.arms };
    case "convert": {
      const { files, out, keys, settings, classNames, dtype } = request;
      return {
        kind: "convert",
        inputs: await Promise.all(files.map((id) => shelf.path(id))),
        out: await shelf.target(out),
        options: {
          ...(keys && { keys }),
          ...(settings && { settings }),
          ...(classNames && { classNames }),
          ...(dtype && { dtype }),
        },
      };
    }
    case "quantize": {
      const { model, to, convolutions, count, out } = request;
      return {
        kind: "quantize",
        model: await modelOf(model),
        to,
        convolutions,
        count,
        out: await shelf.target(out),
      };
    }
    case "export": {
      const { model, schedule, out } = request;
      return { kind: "export", model: await modelOf(model), schedule, out: await shelf.target(out) };
    }
    default:
      return request satisfies never;
  }
}
