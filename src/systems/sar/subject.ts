/** A trained FlexVAR, refined or not, for measurements with any schedule of its tokenizer. */
import { poolMatrix } from "../../codec/scaleMatrices.ts";
import type { Weights } from "../../nn/scope.ts";
import { requireGrowing, scalePlan } from "../../plan/scales.ts";
import type { ScaleWiseSubject } from "../../regimen/scaleWiseSubject.ts";
import { NextxError } from "../../tensor/errors.ts";
import { tokenizeGraph } from "./programs.ts";
import { buildSar, type SarModelConfig } from "./sarModel.ts";
import { FlexScaleWise } from "./scaleWise.ts";

/** `sides` are the model's own when absent. @throws NextxError PLAN_BAD_SCHEDULE, SCHEDULE_TOO_FINE */
export function sarSubject(
  config: SarModelConfig,
  weights: Weights,
  sides: readonly number[] = config.transformer.patchNums,
): ScaleWiseSubject {
  const { tokenizer, transformer } = buildSar(config);
  const { latentSide, inChannels } = config.tokenizer;
  const plan = scalePlan(requireGrowing(sides));
  const finest = plan.groups.at(-1)?.side ?? 0;
  if (finest > latentSide) {
    throw new NextxError("SCHEDULE_TOO_FINE", `True tokens end at side ${latentSide}, got ${finest}.`, {
      path: "schedule",
    });
  }
  return {
    model: new FlexScaleWise(tokenizer, transformer, plan.groups[0]?.size ?? 1),
    tokenizer: {
      graph: tokenizeGraph(tokenizer),
      values: { pool: poolMatrix(latentSide, plan) },
      weights,
      plan,
      pictureShape: [inChannels, tokenizer.imageSize, tokenizer.imageSize],
    },
  };
}
