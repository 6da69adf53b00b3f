/**
 * A trained forecaster as one .safetensors file: weights under their official names, and as JSON under the metadata key
 * `nextx` what is needed to build it and to bring other rows onto its scale.
 */
import { z } from "zod";
import type { Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import { toWeights } from "./quantisedTensors.ts";
import { readSafetensors, writeSafetensors } from "./safetensors.ts";
import { parseStrictJson } from "./strictJson.ts";
import { fromValue } from "./tensorValue.ts";

export const seriesModelFormat = "nextx-series-model";

const channelSchema = z.strictObject({
  name: z.string(),
  mean: z.number(),
  deviation: z.number().positive(),
});

const descriptionSchema = z.strictObject({
  format: z.literal(seriesModelFormat),
  version: z.literal(1),
  system: z.string().min(1),
  config: z.json(),
  /** Data set that it was trained on, and the hash of its content. */
  set: z.string(),
  setVersion: z.string(),
  contextLength: z.int().min(1),
  predictionLength: z.int().min(1),
  /** Letter of the field for the step between rows. */
  frequency: z.enum(["h", "t", "m", "a", "w", "d"]),
  /** Milliseconds between rows; absent in files from before it was noted. */
  stepMs: z.number().positive().optional(),
  /** In the order of its inputs; mean and deviation of the training rows. */
  channels: z.array(channelSchema).min(1),
});

export type SeriesDescription = Omit<z.infer<typeof descriptionSchema>, "format" | "version">;

export interface SeriesModelFile {
  readonly description: SeriesDescription;
  readonly weights: Map<string, Value>;
}

/** Weights in float16; the same model gives the same bytes. */
export function encodeSeriesModel({ description, weights }: SeriesModelFile): Uint8Array {
  const tensors = new Map([...weights].map(([name, value]) => [name, fromValue(value, "F16")]));
  const head = { format: seriesModelFormat, version: 1, ...description };
  return writeSafetensors(tensors, { nextx: JSON.stringify(head) });
}

/** Nesting that a description may have: schemas walk down it. */
const maxHeadDepth = 64;
/** Values in it: most are names of classes, of which systems take a million. */
const maxHeadValues = 1_100_000;

/** The text of a file's description as JSON: no duplicate keys, not deep. @throws NextxError MODEL_BAD_HEAD */
export function parseModelHead(text: string, path: string): unknown {
  try {
    parseStrictJson(new TextEncoder().encode(text), { maxDepth: maxHeadDepth, maxValues: maxHeadValues });
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof NextxError ? cause.message.replace(/\.$/, "") : "it cannot be parsed";
    throw new NextxError(
      "MODEL_BAD_HEAD",
      `${path}: its description is not JSON as it should be: ${reason}.`,
      {
        path,
        cause,
      },
    );
  }
}

/** @throws NextxError MODEL_BAD_HEAD, MODEL_OTHER_TASK for a file that is no forecaster, and the codes of readSafetensors */
export function decodeSeriesModel(bytes: Uint8Array, path: string): SeriesModelFile {
  const { tensors, metadata } = readSafetensors(bytes);
  const json = parseModelHead(metadata.get("nextx") ?? "null", path);
  if (!isSeriesHead(json)) {
    throw new NextxError("MODEL_OTHER_TASK", `${path} is no forecaster.`, {
      path,
      hint: "Forecasters come from `nextx train autoformer` and its like.",
    });
  }
  const parsed = descriptionSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new NextxError("MODEL_BAD_HEAD", `${path}: ${issue?.message}`, {
      path: issue?.path.join(".") ?? path,
    });
  }
  const { format: _, version: __, ...description } = parsed.data;
  requireAgreement(description, path);
  return { description, weights: toWeights(tensors) };
}

/** What a configuration may say about the windows, whatever the system. */
const windowsSchema = z.looseObject({
  contextLength: z.int().optional(),
  predictionLength: z.int().optional(),
  channels: z.int().optional(),
});

/** The configuration's windows are those of the description. @throws NextxError MODEL_BAD_HEAD */
function requireAgreement({ config, channels, ...description }: SeriesDescription, path: string): void {
  const said = windowsSchema.safeParse(config).data ?? {}; // what else is wrong in it, its system says
  const windows = { ...description, channels: channels.length };
  for (const key of ["contextLength", "predictionLength", "channels"] as const) {
    if (said[key] === undefined || said[key] === windows[key]) continue;
    throw new NextxError(
      "MODEL_BAD_HEAD",
      `${path}: ${key} is ${said[key]} here and ${windows[key]} there.`,
      {
        path: `config.${key}`,
      },
    );
  }
}

/** Whether a file's description is that of a forecaster. */
export const isSeriesHead = (json: unknown): boolean =>
  z.looseObject({ format: z.literal(seriesModelFormat) }).safeParse(json).success;
