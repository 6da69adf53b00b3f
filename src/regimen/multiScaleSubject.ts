/** A trained model over a multi-scale tokenizer, for measurements. */
import { tokenizeGraph } from "../codec/multiScalePrograms.ts";
import type { MultiScaleTokenizer } from "../codec/multiScaleTokenizer.ts";
import type { Weights } from "../nn/scope.ts";
import { NextxError } from "../tensor/errors.ts";
import { ResidualScaleWise, type ResidualTransformer } from "./multiScaleModel.ts";
import type { ScaleWiseSubject } from "./scaleWiseSubject.ts";

/** Its schedule is fixed by its parameters. @throws NextxError SCHEDULE_FIXED */
export function multiScaleSubject(
  tokenizer: MultiScaleTokenizer,
  transformer: ResidualTransformer,
  weights: Weights,
  sides?: readonly number[],
): ScaleWiseSubject {
  const { patchNums } = transformer.config;
  if (sides !== undefined && String(sides) !== String(patchNums)) {
    throw new NextxError("SCHEDULE_FIXED", `This model knows one schedule: ${patchNums.join(",")}.`, {
      path: "schedule",
      hint: "Leave the schedule out.",
    });
  }
  const { plan, imageSize } = tokenizer;
  return {
    model: new ResidualScaleWise(tokenizer, transformer),
    tokenizer: {
      graph: tokenizeGraph(tokenizer),
      values: {},
      weights,
      plan,
      pictureShape: [tokenizer.config.inChannels, imageSize, imageSize],
    },
  };
}
