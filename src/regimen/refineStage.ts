/** The recipe of a refining stage. code: fresh optimiser state, the tail of the base's learning-rate schedule. */
import { z } from "zod";
import { refineFields } from "./refineMethods.ts";
import { stageFields, tokenImages } from "./stageRecipe.ts";

export const refineStageSchema = z.strictObject({
  steps: z.int().min(0).max(10_000_000).default(500).describe("0 leaves the base as it is."),
  ...stageFields,
  batchSize: stageFields.batchSize.default(64),
  learningRate: stageFields.learningRate.default(1.5e-4),
  schedule: stageFields.schedule.default("lin0"),
  warmup: stageFields.warmup.default(20),
  end: stageFields.end.default(0.6),
  weightDecay: stageFields.weightDecay.default(0.05),
  beta2: stageFields.beta2.default(0.95),
  clipNorm: stageFields.clipNorm.default(2),
  emaDecay: stageFields.emaDecay.default(0.99),
  ...refineFields,
  tokenImages,
});
