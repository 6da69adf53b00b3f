/** Autoformer as a forecaster that learns, and its small form. */
import { validate } from "../../formats/validate.ts";
import { autoCorrelation, ownLags, sharedLags } from "../../mixer/autoCorrelation.ts";
import type { HeadMixer } from "../../mixer/headMixer.ts";
import { Scope } from "../../nn/scope.ts";
import type { SeriesShape } from "../../regimen/seriesSystem.ts";
import type { SeriesTrainee } from "../../regimen/seriesTask.ts";
import { trace } from "../../runtime/trace.ts";
import { NextxError } from "../../tensor/errors.ts";
import { autoformerSchema } from "./config.ts";
import { Autoformer } from "./model.ts";
import { autoformerTraining, windowSpecs } from "./objective.ts";

/** About 30,000 parameters; trains in minutes on two cores. @throws NextxError CONFIG_BAD_VALUE */
export const smallAutoformer = ({ contextLength, predictionLength, channels, frequency }: SeriesShape) => {
  const config = {
    ...{ contextLength, predictionLength, frequency },
    labelLength: Math.floor(contextLength / 2),
    ...{ channels, decoderChannels: channels, outputs: channels },
    ...{ embedDim: 32, numHeads: 4, feedForwardDim: 64, encoderDepth: 2, decoderDepth: 1, factor: 3 },
  };
  return validate(autoformerSchema, config, "config");
};

/** What mixes over time in training and in forecasts. */
export interface Mixers {
  readonly training: HeadMixer;
  readonly forecast: HeadMixer;
}

/** Lags are shared by the batch in training, each sample's own in forecasts (code). */
const correlating = (factor: number): Mixers => ({
  training: autoCorrelation(factor, sharedLags),
  forecast: autoCorrelation(factor, ownLags),
});

/**
 * With auto-correlation, or with other mixers in its place.
 * @throws NextxError CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE, also for calendar tables: windows of series carry time features
 */
export function autoformerTrainee(config: unknown, others?: Mixers): SeriesTrainee {
  const scope = Scope.root();
  const model = new Autoformer(scope, validate(autoformerSchema, config, "config"));
  if (model.config.embed !== "timeF") {
    throw new NextxError("CONFIG_BAD_VALUE", "Windows of series carry time features, no calendar ids.", {
      path: "embed",
      hint: 'Train with embed "timeF".',
    });
  }
  const mixers = others ?? correlating(model.config.factor);
  const training = autoformerTraining(scope, model, mixers.training);
  return {
    parameters: scope.specs,
    labelLength: model.config.labelLength,
    training,
    forecast: trace(windowSpecs(model), (x) => ({ forecast: model.forecast(x, mixers.forecast) })),
  };
}
