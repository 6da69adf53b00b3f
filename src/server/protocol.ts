/** What clients send and get: schemas of requests, types of events. Runs in the page too; every number has bounds. */
import { z } from "zod";
import { maxPictures } from "./limits.ts";

const fraction = z.number().min(0).max(1);
const classSchema = z.union([z.int().min(0).max(1_000_000), z.string().min(1).max(200)]);
const seedSchema = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
export const modelId = z.string().min(1).max(200).describe("Id of a model, from /v1/models.");

const editFields = z.strictObject({
  png: z.base64().max(1_500_000).describe("The picture to change, a PNG in base64."),
  box: z
    .strictObject({ y0: fraction, x0: fraction, y1: fraction, x1: fraction })
    .refine(({ y0, x0, y1, x1 }) => y1 > y0 && x1 > x0, { error: "the box is empty" })
    .optional()
    .describe("Fractions of the picture; x1 and y1 are exclusive ends."),
  mask: z
    .base64()
    .max(300_000)
    .optional()
    .describe("Instead of a box, any form: a PNG in base64, light where marked."),
  where: z.enum(["inside", "outside"]).default("inside").describe("Where new content goes."),
});
const editSchema = editFields
  .refine(({ box, mask }) => (box === undefined) !== (mask === undefined), {
    error: "an edit has a box or a mask",
  })
  .describe("In-painting (inside), out-painting (outside), with `class` a change of class.");

export const generateSchema = z.strictObject({
  model: modelId,
  class: z
    .union([classSchema, z.array(classSchema).min(1).max(maxPictures)])
    .optional()
    .describe("A class by number or name, or several that are taken in turn; all classes when absent."),
  count: z.int().min(1).max(maxPictures).optional().describe("Pictures; as many as classes, else 1."),
  seed: seedSchema.default(0).describe("The same seed gives the same pictures."),
  first: z
    .int()
    .min(0)
    .max(1_000_000_000)
    .default(0)
    .describe("Number of the first picture: 3 makes the fourth picture of a grid alone."),
  columns: z.int().min(1).max(maxPictures).optional().describe("Pictures per row of the grid."),
  settings: z
    .record(z.string().max(64), z.unknown())
    .default({})
    .describe("Settings of the model's system (cfgScale, topK, ...); their schema is in /v1/models."),
  previews: z.boolean().default(true).describe("Send a picture after every scale."),
  edit: editSchema.optional(),
});
export type GenerateRequest = z.infer<typeof generateSchema>;
/** A request as a client may write it: what has a default can be left out. */
export type GenerateInput = z.input<typeof generateSchema>;

export const errorSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    code: z.string(),
    param: z.string().nullable(),
    hint: z.string().optional(),
  }),
});
export type ErrorBody = z.infer<typeof errorSchema>;

export const modelSchema = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: z.int(),
  owned_by: z.string(),
  title: z.string(),
  system: z.string(),
  systemTitle: z.string(),
  sha256: z.string(),
  sizeBytes: z.int().describe("Of its file, which /v1/models/{id}/file gives to pages that compute."),
  imageSize: z.int(),
  classNames: z.array(z.string()),
  licence: z.string().nullable(),
  data: z.string().nullable(),
  defaults: z.record(z.string(), z.unknown()).describe("Settings with the values that suit the model."),
  settings: z.record(z.string(), z.unknown()).describe("JSON Schema of the settings."),
  scaleWise: z.boolean().describe("Whether /v1/dynamics takes it."),
  hasSamples: z.boolean().describe("Whether /v1/models/{id}/samples shows what it draws."),
});
export type ModelInfo = z.infer<typeof modelSchema>;

export const dynamicsSchema = z.strictObject({
  models: z.array(modelId).min(1).max(4).describe("Scale-wise models, measured on the same pictures."),
  count: z.int().min(16).max(1024).default(128).describe("Held-out pictures."),
  seed: seedSchema.default(0).describe("Of rollouts and corruption."),
});

const reportSchema = z.looseObject({
  model: z.looseObject({ name: z.string() }),
  data: z.looseObject({ set: z.string() }),
  count: z.int().describe("Held-out pictures."),
  seed: z.int(),
});
export const measuredDynamicsSchema = z.object({
  reports: z.array(reportSchema).describe("As `nextx dynamics --json` gives them."),
  charts: z.array(z.object({ title: z.string(), note: z.string(), svg: z.string() })),
  colours: z.array(z.string()).describe("Of the models in the charts."),
});
export type MeasuredDynamics = z.infer<typeof measuredDynamicsSchema>;

/** Server-sent events of a measurement of dynamics. */
export const dynamicsEventSchemas = {
  progress: z.object({ text: z.string() }),
  measured: measuredDynamicsSchema,
  failed: errorSchema,
} as const;
export type DynamicsEvent = {
  [K in keyof typeof dynamicsEventSchemas]: { readonly kind: K } & z.infer<(typeof dynamicsEventSchemas)[K]>;
}[keyof typeof dynamicsEventSchemas];

const placeSchema = z
  .object({ place: z.string(), listed: z.boolean().describe("By the survey itself; else our reading.") })
  .describe("A heading of a survey.");

export const systemSchema = z.object({
  id: z.string(),
  name: z.string(),
  arxiv: z.string(),
  published: z.string(),
  code: z.string().optional().describe("Repository of the authors' code on GitHub."),
  licence: z.string().optional(),
  next: z.string().describe("What one step predicts."),
  shows: z.string().describe("What the paper claims."),
  vision: placeSchema.optional(),
  parallel: placeSchema.optional(),
  axes: z.object({
    codec: z.string(),
    plan: z.string(),
    context: z.string(),
    mixer: z.string(),
    head: z.string(),
    decoding: z.string(),
    regimen: z.string(),
  }),
  runs: z.boolean().describe("Whether it runs here."),
  description: z.string().nullable(),
  command: z.string().nullable().describe("What trains it here."),
  models: z.array(z.string()).describe("Models of it that ship."),
  claim: z
    .object({
      verdict: z.string(),
      statement: z.string(),
      measures: z.array(
        z.object({
          name: z.string(),
          unit: z.string(),
          system: z.array(z.number()),
          baseline: z.array(z.number()),
          baselineName: z.string(),
          headline: z.boolean(),
          holds: z.boolean(),
        }),
      ),
    })
    .nullable(),
  diagrams: z.array(
    z.object({
      name: z.string(),
      visibility: z.string(),
      groups: z.array(z.int()).describe("Sites per step, in order."),
      areMaps: z.boolean().describe("Whether each step is a whole square map."),
      hidden: z.string().describe("length x length flags, row = query, 1 = hidden; eight to a byte, base64."),
    }),
  ),
});
export type SystemInfo = z.infer<typeof systemSchema>;

const base64Png = z.string().describe("PNG in base64.");

/** Server-sent events of a request, in order; `event:` is the kind. */
export const eventSchemas = {
  accepted: z.object({
    id: z.string(),
    /** Requests that were there before. */
    waiting: z.int(),
    recipe: z.record(z.string(), z.unknown()),
  }),
  started: z.looseObject({}),
  preview: z.object({
    /** Scales done and in all. */
    done: z.int(),
    total: z.int(),
    /** Pictures below each other, without gaps. */
    strip: base64Png,
  }),
  finished: z.object({
    /** Each picture with its own recipe inside. */
    pictures: z.array(base64Png),
    /** All pictures as one, with the recipe of all. */
    grid: base64Png,
    waitedMs: z.number(),
    computedMs: z.number(),
  }),
  failed: errorSchema,
  cancelled: z.looseObject({}),
} as const;
export type EventKind = keyof typeof eventSchemas;
export type ServerEvent = {
  [K in EventKind]: { readonly kind: K } & z.infer<(typeof eventSchemas)[K]>;
}[EventKind];

export const jobStates = ["queued", "running", "finished", "failed", "cancelled", "parked"] as const;
export type JobState = (typeof jobStates)[number];

export const jobSchema = z.object({
  id: z.string(),
  state: z.enum(jobStates),
  /** How often it ended with its process. */
  crashes: z.int(),
  request: generateSchema,
  error: errorSchema.shape.error.optional(),
});
export type JobInfo = z.infer<typeof jobSchema>;

/** As in a list: without the picture to edit and its mask. */
export const listedJobSchema = jobSchema.extend({
  request: generateSchema.extend({ edit: editFields.omit({ png: true, mask: true }).optional() }),
});
export type ListedJob = z.infer<typeof listedJobSchema>;

/** The images endpoint of OpenAI's API; what makes no sense here is accepted and ignored. */
export const imagesSchema = z.strictObject({
  model: modelId,
  prompt: z.string().min(1).max(1000).describe("A class by name or number."),
  stream: z.literal(false).nullish().describe("For previews ask /v1/generate."),
  n: z.int().min(1).max(maxPictures).nullish(),
  seed: seedSchema.optional().describe("Not in OpenAI's API; drawn when absent, and told in the answer."),
  settings: z.record(z.string().max(64), z.unknown()).optional().describe("Not in OpenAI's API."),
  size: z.string().max(20).nullish().describe("auto, or the model's own size such as 32x32."),
  response_format: z.literal("b64_json").nullish(),
  output_format: z.literal("png").nullish(),
  output_compression: z.int().min(0).max(100).nullish(),
  quality: z.string().max(20).nullish(),
  style: z.string().max(20).nullish(),
  background: z.string().max(20).nullish(),
  moderation: z.string().max(20).nullish(),
  user: z.string().max(200).nullish(),
});

export const imagesResultSchema = z.object({
  created: z.int(),
  output_format: z.literal("png"),
  seed: z.int().describe("Not in OpenAI's API: the same seed gives the same pictures."),
  data: z.array(z.object({ b64_json: base64Png })),
});
