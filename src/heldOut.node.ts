/** The held-out pictures that an opened model is measured on. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { ImageSet } from "./data/types.ts";
import { unknownData } from "./formats/modelFile.ts";
import type { Model } from "./model.ts";
import { RunReader } from "./regimen/runFolderReader.node.ts";
import { NextxError } from "./tensor/errors.ts";

/** The pictures that were compared with. */
export interface ComparedData {
  readonly set: string;
  readonly split: string;
  readonly version: string;
  readonly size: number;
}

export const comparedData = ({ id, split, version, size }: ImageSet): ComparedData => ({
  set: id,
  split,
  version,
  size,
});

const runData = z.looseObject({ data: z.looseObject({ set: z.string() }) });

/** The data set that a model was trained on, by its card or run. @throws NextxError EVALUATE_NO_DATA */
export async function dataOf(model: Model): Promise<string> {
  if (model.card && model.card.data !== unknownData) return model.card.data;
  const run = existsSync(join(model.name, "run.json")) ? await RunReader.read(model.name) : undefined;
  const parsed = runData.safeParse(run?.config);
  if (parsed.success) return parsed.data.data.set;
  throw new NextxError("EVALUATE_NO_DATA", `${model.name} does not say which data it was trained on.`, {
    path: "set",
    hint: "Name the data set: --set synth.",
  });
}

/** @throws NextxError EVALUATE_OTHER_CLASSES */
export function requireSameClasses({ name, classNames }: Model, set: ImageSet): void {
  if (String(classNames) === String(set.classNames)) return;
  throw new NextxError("EVALUATE_OTHER_CLASSES", `${name} knows other classes than ${set.id}.`, {
    path: "set",
    hint: "Name the data set that the model was trained on.",
  });
}
