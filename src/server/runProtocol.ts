/** What clients send and get about runs, claims and other work that outlives them. Runs in the page too; every number has bounds. */
import { z } from "zod";
import { convertSchema, exportSchema, quantizeSchema } from "./modelProtocol.ts";
import { errorSchema, modelId } from "./protocol.ts";

/** Name of a run: its folder below the server's, looked up there and nowhere else. */
const runId = z.string().min(1).max(200);
const newRunName = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, {
  error: "lower-case letters, digits and dashes, 63 at most",
});
const everySteps = z.int().min(1).max(1_000_000);

export const trainSchema = z.strictObject({
  system: z.string().min(1).max(64),
  recipe: z.string().min(1).max(64).optional().describe("The system's default one when absent."),
  overrides: z
    .record(z.string().max(64), z.unknown())
    .default({})
    .describe("Values that replace the recipe's, nested like it; their schema is in /v1/training."),
  from: modelId.optional().describe("A model of the same system to go on from: its last stage is trained."),
  name: newRunName.optional().describe("Name of the run; made from system and recipe when absent."),
  checkpointEvery: everySteps.default(50).describe("Steps between checkpoints: the most that a crash costs."),
  observeEvery: everySteps.default(500).describe("Steps between looks at held-out data, with samples."),
});
export type TrainInput = z.input<typeof trainSchema>;

export const claimRequestSchema = z.strictObject({
  arms: z
    .array(z.string().min(1).max(100))
    .min(1)
    .max(200)
    .optional()
    .describe("Arms by name, or by what stands before a dash; all that are missing when absent."),
});

/** Long work as it is stored. */
export const operationRequestSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("train"),
    run: runId,
    system: z.string(),
    /** Absent: the run is there and goes on as it was begun. */
    begin: trainSchema.pick({ recipe: true, overrides: true, from: true }).optional(),
    checkpointEvery: everySteps,
    observeEvery: everySteps,
  }),
  z.strictObject({ kind: z.literal("claim"), system: z.string(), arms: claimRequestSchema.shape.arms }),
  convertSchema.extend({
    kind: z.literal("convert"),
    out: z.string().describe("Id of the file that it makes."),
  }),
  quantizeSchema.extend({ kind: z.literal("quantize"), out: z.string() }),
  exportSchema.extend({ kind: z.literal("export"), out: z.string() }),
]);
export type OperationRequest = z.infer<typeof operationRequestSchema>;
export type OperationKind = OperationRequest["kind"];

export const operationStates = ["queued", "running", "stopped", "finished", "failed", "parked"] as const;
export type OperationState = (typeof operationStates)[number];

export const operationStateSchema = z.strictObject({
  state: z.enum(operationStates),
  crashes: z.int().min(0).describe("How often in a row it ended with its process without getting further."),
  error: errorSchema.shape.error.optional(),
  /** What came out, where it is more than files. */
  result: z.record(z.string(), z.unknown()).optional(),
});

export const operationSchema = operationStateSchema.extend({
  id: z.string(),
  request: operationRequestSchema,
});
export type OperationInfo = z.infer<typeof operationSchema>;

/** Server-sent events of long work: where it stands first, then what happens. Closing the stream does not stop the work. */
export const operationEventSchemas = {
  /** The last one says how it ended. */
  state: operationStateSchema.omit({ result: true }).extend({
    waiting: z.int().describe("Work of the same lane before it."),
  }),
  stage: z.object({ stage: z.string(), steps: z.int(), parameters: z.int(), from: z.int() }),
  step: z.object({
    stage: z.string(),
    step: z.int(),
    steps: z.int(),
    loss: z.number().nullable(),
    samplesPerSecond: z.number(),
    remainingMs: z.number(),
  }),
  /** A row of metrics of held-out data, and perhaps a picture. */
  observed: z.object({ stage: z.string(), step: z.int(), hasSample: z.boolean() }),
  saved: z.object({ stage: z.string(), step: z.int() }),
  /** An arm of a claim. */
  arm: z.object({ arm: z.string(), state: z.enum(["kept", "missing", "started", "finished"]) }),
  text: z.object({ text: z.string() }),
} as const;
export type OperationEvent = {
  [K in keyof typeof operationEventSchemas]: { readonly kind: K } & z.infer<
    (typeof operationEventSchemas)[K]
  >;
}[keyof typeof operationEventSchemas];

export const runStates = operationStates;

/** A run in a list. */
export const runSchema = z.object({
  id: z.string(),
  system: z.string(),
  recipe: z.string().nullable(),
  state: z.enum(runStates),
  createdMs: z.number().describe("Milliseconds since 1970."),
  stage: z.string().nullable(),
  step: z.int(),
  steps: z.int().nullable().describe("Steps of the stage."),
  loss: z.number().nullable(),
  operation: z.string().nullable().describe("Id of the work that trains it here."),
});
export type RunInfo = z.infer<typeof runSchema>;

export const runListSchema = z.object({ total: z.int(), data: z.array(runSchema) });
export type RunList = z.infer<typeof runListSchema>;

export const runDetailSchema = runSchema.extend({
  makes: z.enum(["pictures", "forecasts"]),
  config: z.unknown(),
  provenance: z.unknown(),
  stages: z.array(
    z.object({
      name: z.string(),
      steps: z.int().nullable(),
      step: z.int(),
      samples: z.array(z.int()).describe("Steps with a picture."),
    }),
  ),
  /** Of the work that trains it. */
  error: errorSchema.shape.error.optional(),
});
export type RunDetail = z.infer<typeof runDetailSchema>;

/** Most rows of one answer. */
export const maxMetricsRows = 20_000;

export const metricsSchema = z.object({
  rows: z
    .array(z.looseObject({ step: z.int() }))
    .describe("As logged: numbers, lists with one place per scale, null for what was not finite."),
  more: z.boolean().describe("Whether there are later rows: ask again with `after`."),
});
export type MetricsPart = z.infer<typeof metricsSchema>;

/** What can be trained, and with which values. */
export const trainingSchema = z.object({
  id: z.string(),
  title: z.string(),
  defaultRecipe: z.string(),
  recipes: z.array(
    z.object({
      name: z.string(),
      description: z.string(),
      expect: z.string(),
      values: z.record(z.string(), z.unknown()).describe("Completed."),
    }),
  ),
  schema: z.record(z.string(), z.unknown()).describe("JSON Schema of a recipe."),
});
export type TrainingInfo = z.infer<typeof trainingSchema>;

export const claimInfoSchema = z.object({
  system: z.string(),
  verdict: z.string().nullable(),
  statement: z.string().nullable(),
  operation: operationSchema.nullable().describe("The last work on it here."),
});
export type ClaimInfo = z.infer<typeof claimInfoSchema>;

export const armSchema = z.object({ arm: z.string(), isThere: z.boolean(), minutes: z.number().nullable() });
export const claimDetailSchema = claimInfoSchema.extend({ arms: z.array(armSchema) });
export type ClaimDetail = z.infer<typeof claimDetailSchema>;
