/**
 * A trained model as one .safetensors file: weights under their official names, and what is needed to build the model as
 * JSON under the metadata key `nextx`. Anything that reads safetensors reads it.
 */
import { z } from "zod";
import type { Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import { toWeights } from "./quantisedTensors.ts";
import { readSafetensors, writeSafetensors } from "./safetensors.ts";
import { isSeriesHead, parseModelHead } from "./seriesModelFile.ts";
import { shellWord } from "./shellWord.ts";
import { fromValue } from "./tensorValue.ts";

/** What a file says of its weights of few bits. */
const quantisationSchema = z.strictObject({
  kind: z.enum(["int8", "int4"]),
  /** Bits that its codes use: 7 for processors without VNNI. */
  bits: z.int().min(4).max(8),
  /** Weights that it covers. */
  layers: z.int().min(1),
  /** How many of these are calibrated convolutions. */
  convolutions: z.int().min(0),
  /** SHA-256 of the file that was quantised. */
  of: z.string(),
});
export type Quantisation = z.infer<typeof quantisationSchema>;

/** What a card says where nobody knows which data a model was trained on: of checkpoints made elsewhere. */
export const unknownData = "unknown";

/** What a file carries of its original's card, so that it is used and measured like it. */
const inheritedCardSchema = z.strictObject({
  title: z.string(),
  system: z.string(),
  licence: z.string(),
  data: z.string(),
  sampling: z.record(z.string(), z.json()),
});
export type InheritedCard = z.infer<typeof inheritedCardSchema>;

const descriptionSchema = z.strictObject({
  format: z.literal("nextx-model"),
  version: z.number().int().min(1),
  system: z.string().min(1),
  config: z.json(),
  classNames: z.array(z.string()),
  imageSize: z.int().min(1).max(65536),
  quantisation: quantisationSchema.optional(),
  card: inheritedCardSchema.optional(),
});

/** What a model file says besides its weights. */
export interface ModelFileDescription {
  readonly system: string;
  /** The system's model configuration; validated by the system. */
  readonly config: unknown;
  readonly classNames: readonly string[];
  readonly imageSize: number;
}

/** What it says of the file itself: not of the model, so nothing that is trained from it says it again. */
export interface ModelFileNotes {
  readonly quantisation?: Quantisation;
  readonly card?: InheritedCard;
}

export interface ModelFile {
  readonly description: ModelFileDescription;
  /** float32 whatever the file holds; weights of few bits as quantised values. */
  readonly weights: Map<string, Value>;
}

/** 2 added quantisation and card; files without them say 1. */
export const modelVersion = 2;

/** The metadata that make a safetensors file a model. */
export function modelMetadata(
  description: ModelFileDescription,
  notes: ModelFileNotes = {},
): Readonly<Record<string, string>> {
  const version = notes.quantisation || notes.card ? modelVersion : 1;
  return { nextx: JSON.stringify({ format: "nextx-model", version, ...description, ...notes }) };
}

/** A model file's bytes; the same model gives the same bytes. */
export function encodeModel({ description, weights }: ModelFile, floats: "F32" | "F16"): Uint8Array {
  const tensors = new Map([...weights].map(([name, value]) => [name, fromValue(value, floats)]));
  return writeSafetensors(tensors, modelMetadata(description));
}

/** @throws NextxError the codes of describedModel and readSafetensors */
export function decodeModel(bytes: Uint8Array, path = "model"): ModelFile {
  const { tensors, metadata } = readSafetensors(bytes);
  const { description } = describedModel(metadata, path);
  return { description, weights: toWeights(tensors) };
}

/**
 * What the metadata of a safetensors file say about its model, and about the file.
 * @throws NextxError MODEL_NOT_NEXTX, MODEL_NEWER_VERSION, MODEL_BAD_HEAD
 */
export function describedModel(
  metadata: ReadonlyMap<string, string>,
  path: string,
): { readonly description: ModelFileDescription; readonly notes: ModelFileNotes } {
  const text = metadata.get("nextx");
  if (text === undefined) {
    throw new NextxError("MODEL_NOT_NEXTX", `${path} holds tensors, but does not say which model they are.`, {
      path,
      hint: "Models of nextx say it in their metadata; `nextx convert` makes one from a published checkpoint.",
    });
  }
  const { format: _, version: __, quantisation, card, ...description } = parseHead(text, path);
  return { description, notes: { ...(quantisation && { quantisation }), ...(card && { card }) } };
}

function parseHead(text: string, path: string): z.infer<typeof descriptionSchema> {
  const json = parseModelHead(text, path);
  if (isSeriesHead(json)) {
    throw new NextxError("MODEL_OTHER_TASK", `${path} is a forecaster and makes no pictures.`, {
      path,
      hint: `nextx eval ${shellWord(path)}`,
    });
  }
  const version = z.looseObject({ version: z.number() }).safeParse(json);
  if (version.success && version.data.version > modelVersion) {
    throw new NextxError(
      "MODEL_NEWER_VERSION",
      `${path} has format version ${version.data.version}; this nextx reads up to ${modelVersion}.`,
      { path, hint: "Update nextx." },
    );
  }
  const parsed = descriptionSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new NextxError("MODEL_BAD_HEAD", `${path}: ${issue?.message}`, {
      path: issue?.path.join(".") ?? path,
    });
  }
  return parsed.data;
}
