/** SpaceTime as a forecaster that learns, and its small form. */
import { validate } from "../../formats/validate.ts";
import { Scope } from "../../nn/scope.ts";
import type { SeriesShape } from "../../regimen/seriesSystem.ts";
import type { SeriesTrainee } from "../../regimen/seriesTask.ts";
import { trace } from "../../runtime/trace.ts";
import { symbol } from "../../tensor/dims.ts";
import { NextxError } from "../../tensor/errors.ts";
import { float32 } from "../../tensor/tensor.ts";
import { spacetimeSchema } from "./config.ts";
import { Spacetime } from "./model.ts";
import { apart, spacetimeTraining, together } from "./objective.ts";

/** Fewer rows leave nothing to filter, or no next input to predict. */
const fewestRows = 6;

/** A quarter of the official width; one block. @throws NextxError CONFIG_BAD_VALUE, SERIES_TOO_SHORT below six rows looked back on */
export const smallSpacetime = ({ contextLength, predictionLength }: SeriesShape) => {
  if (contextLength < fewestRows) {
    throw new NextxError("SERIES_TOO_SHORT", `SpaceTime looks back on ${fewestRows} rows or more.`, {
      path: "contextLength",
      hint: `Pass --context ${fewestRows} (nextx train: --data-context-length ${fewestRows}), or choose another method.`,
    });
  }
  const stateSize = Math.max(2, Math.min(32, Math.floor(contextLength / 3)));
  const maxWindow = Math.max(5, Math.min(64, Math.floor(contextLength / 2)));
  const config = {
    ...{ contextLength, predictionLength, embedDim: 32 },
    blocks: [
      {
        prefilter: { numKernels: 8, repeats: 4, maxWindow },
        numKernels: 8,
        stateSize,
        blockSkip: "prefiltered",
      },
    ],
    decoder: { stateSize },
  };
  return validate(spacetimeSchema, config, "config");
};

/** Every channel is a series of its own to the model, unless it takes them all. @throws NextxError CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE */
export function spacetimeTrainee(config: unknown, channels: number, horizon?: number): SeriesTrainee {
  const scope = Scope.root();
  const model = new Spacetime(scope, validate(spacetimeSchema, config, "config"));
  const { contextLength, predictionLength, inputs } = model.config;
  const training = spacetimeTraining(scope, model, { channels });
  const specs = { past: float32(symbol("B"), contextLength, channels) };
  return {
    parameters: scope.specs,
    labelLength: 0,
    training,
    forecast: trace(specs, ({ past }) => ({
      forecast: together(model.forecast(apart(past, inputs), horizon ?? predictionLength), channels),
    })),
  };
}
