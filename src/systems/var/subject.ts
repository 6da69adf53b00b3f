/** A trained VAR for measurements. */
import { tokenizeGraph } from "../../codec/multiScalePrograms.ts";
import type { Weights } from "../../nn/scope.ts";
import { ResidualScaleWise } from "../../regimen/multiScaleModel.ts";
import type { ScaleWiseSubject } from "../../regimen/scaleWiseSubject.ts";
import { NextxError } from "../../tensor/errors.ts";
import { buildVar, type VarModelConfig } from "./varModel.ts";

/** Its schedule is fixed by its parameters. @throws NextxError SCHEDULE_FIXED */
export function varSubject(
  config: VarModelConfig,
  weights: Weights,
  sides?: readonly number[],
): ScaleWiseSubject {
  const { tokenizer, transformer } = buildVar(config);
  const { patchNums } = config.transformer;
  if (sides !== undefined && String(sides) !== String(patchNums)) {
    throw new NextxError("SCHEDULE_FIXED", `This model knows one schedule: ${patchNums.join(",")}.`, {
      path: "schedule",
      hint: "Leave the schedule out.",
    });
  }
  return {
    model: new ResidualScaleWise(tokenizer, transformer),
    tokenizer: {
      graph: tokenizeGraph(tokenizer),
      values: {},
      weights,
      plan: tokenizer.plan,
      pictureShape: [tokenizer.config.inChannels, tokenizer.imageSize, tokenizer.imageSize],
    },
  };
}
