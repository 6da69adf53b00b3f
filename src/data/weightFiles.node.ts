/** Weights of foreign networks that only judge, read from the folder that holds the data sets. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { HostTensor } from "../formats/hostTensor.ts";
import { readCheckpoint } from "../formats/readCheckpoint.node.ts";
import { NextxError } from "../tensor/errors.ts";
import { notFound } from "./dataFiles.node.ts";

const sources = "the network's home, converted to safetensors with the names that its documentation lists";

/** Reads `path` below the data root. @throws NextxError DATA_NO_ROOT, DATA_NOT_FOUND, and the codes of `readCheckpoint` */
export async function readWeightFile(
  dataRoot: string | undefined,
  path: string,
): Promise<Map<string, HostTensor>> {
  if (dataRoot === undefined) {
    throw new NextxError("DATA_NO_ROOT", `${path} is read from a data folder, and none is named.`, {
      path,
      hint: "Pass --data FOLDER or set NEXTX_DATA.",
    });
  }
  const file = join(dataRoot, path);
  if (!existsSync(file)) throw notFound(file, sources);
  return readCheckpoint(file);
}
