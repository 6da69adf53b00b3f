/** What schemas cannot say of a recipe by themselves, told before anything is trained. */
import type { z } from "zod";
import { NextxError } from "../tensor/errors.ts";

/** A refinement: `plan` of the recipe must not throw. */
export const planStands =
  <T>(plan: (recipe: T) => unknown, path: readonly string[]) =>
  (recipe: T, context: z.RefinementCtx): void => {
    try {
      plan(recipe);
    } catch (error) {
      if (!(error instanceof NextxError)) throw error;
      context.addIssue({ code: "custom", message: error.message.replace(/\.$/, ""), path: [...path] });
    }
  };

interface StageSizes {
  readonly batchSize?: number;
  readonly tokenImages?: number;
}

/** Every stage prepares at least a batch of pictures. @throws NextxError CONFIG_BAD_VALUE */
export function requireBatches(train: Readonly<Record<string, StageSizes>>): void {
  for (const [stage, { batchSize = 0, tokenImages = batchSize }] of Object.entries(train)) {
    if (tokenImages >= batchSize) continue;
    throw new NextxError(
      "CONFIG_BAD_VALUE",
      `${tokenImages} pictures are prepared for batches of ${batchSize}.`,
      { path: `recipe.train.${stage}.tokenImages`, hint: "Prepare at least as many as are in a batch." },
    );
  }
}
