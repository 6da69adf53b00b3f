/** Autoformer as a forecaster that learns, and its small form. */
import { ownLags } from "../../mixer/autoCorrelation.ts";
import { Scope } from "../../nn/scope.ts";
import type { SeriesShape } from "../../regimen/seriesSystem.ts";
import type { SeriesTrainee } from "../../regimen/seriesTask.ts";
import { trace } from "../../runtime/trace.ts";
import { autoformerSchema } from "./config.ts";
import { Autoformer } from "./model.ts";
import { autoformerTraining, windowSpecs } from "./objective.ts";

/** About 30,000 parameters; trains in minutes on two cores. */
export const smallAutoformer = ({ contextLength, predictionLength, channels, frequency }: SeriesShape) =>
  autoformerSchema.parse({
    ...{ contextLength, predictionLength, frequency },
    labelLength: Math.floor(contextLength / 2),
    ...{ channels, decoderChannels: channels, outputs: channels },
    ...{ embedDim: 32, numHeads: 4, feedForwardDim: 64, encoderDepth: 2, decoderDepth: 1, factor: 3 },
  });

export function autoformerTrainee(config: unknown): SeriesTrainee {
  const scope = Scope.root();
  const model = new Autoformer(scope, autoformerSchema.parse(config));
  const training = autoformerTraining(scope, model);
  return {
    parameters: scope.specs,
    labelLength: model.config.labelLength,
    training,
    forecast: trace(windowSpecs(model), (x) => ({ forecast: model.forecast(x, ownLags) })),
  };
}
