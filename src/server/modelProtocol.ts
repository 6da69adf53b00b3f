/** What clients send and get about files and models: bringing a checkpoint, converting, quantising, exporting. Every number has bounds. */
import { z } from "zod";
import { modelId } from "./protocol.ts";

/** Most bytes of one file that is brought. */
export const maxFileBytes = 16 * 2 ** 30;
/** Most bytes of all files, and most files. */
export const maxShelfBytes = 64 * 2 ** 30;
export const maxFiles = 200;

export const fileNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$/, { error: "letters, digits, dot, dash and underscore" });

export const announceSchema = z.strictObject({
  name: fileNameSchema.refine((name) => /\.(pth|pt|ckpt|safetensors|npz)$/i.test(name), {
    error: "a checkpoint: .pth, .pt, .ckpt, .safetensors or .npz",
  }),
  sizeBytes: z.int().min(1).max(maxFileBytes),
});

export const fileSchema = z.object({
  id: z.string(),
  name: z.string(),
  sizeBytes: z.int().nullable().describe("As announced; null for what was made here."),
  received: z.int(),
  isWhole: z.boolean(),
  parts: z.array(z.object({ name: z.string(), sizeBytes: z.int() })).describe("What can be downloaded."),
  createdMs: z.number(),
});
export type FileInfo = z.infer<typeof fileSchema>;

const fileId = z.string().min(1).max(64);
const keyText = z.string().min(1).max(200);
const settingValue = z.union([
  z.number().min(-1e9).max(1e9),
  z.boolean(),
  z.string().max(100),
  z.array(z.number().min(-1e9).max(1e9)).max(64),
]);

export const convertSchema = z.strictObject({
  files: z.array(fileId).min(1).max(4).describe("Ids of files that belong together: transformer, tokenizer."),
  keys: z.array(keyText).max(8).optional().describe("Which of several state dicts, such as ema."),
  settings: z
    .record(z.string().max(100), settingValue)
    .optional()
    .describe("Configuration that a file does not say: tokenizer.numGroups."),
  classNames: z.array(z.string().min(1).max(200)).max(100_000).optional(),
  dtype: z
    .enum(["F32", "F16", "BF16"])
    .optional()
    .describe("Store floating tensors so; as they are when absent."),
});

export const quantizeSchema = z.strictObject({
  model: modelId,
  to: z.enum(["int8", "int4", "f16"]),
  convolutions: z.enum(["float", "calibrated"]).default("float"),
  count: z.int().min(1).max(1000).default(8).describe("Pictures that calibrate and measure."),
});

export const exportSchema = z.strictObject({
  model: modelId,
  schedule: z
    .array(z.int().min(1).max(256))
    .min(1)
    .max(32)
    .optional()
    .describe("Sides of the scales, where the system takes any."),
});

export const inspectionSchema = z.looseObject({
  kind: z.string(),
  format: z.string().optional(),
  sizeBytes: z.number().optional(),
  dicts: z.array(z.object({ key: z.string(), tensors: z.number(), others: z.number() })).optional(),
  recognised: z
    .array(z.looseObject({ system: z.string(), part: z.string(), key: z.string(), summary: z.string() }))
    .optional(),
  tensors: z
    .array(z.object({ name: z.string(), dtype: z.string(), shape: z.array(z.number()) }))
    .optional()
    .describe("The first thousand."),
  tensorCount: z.number().optional(),
});
export type Inspection = z.infer<typeof inspectionSchema>;

/** A model's card as it lies beside it; null for a model without one. */
export const cardSchema = z.object({ card: z.record(z.string(), z.unknown()).nullable() });
