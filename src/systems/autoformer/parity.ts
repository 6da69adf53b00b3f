/** Autoformer's parity table: from the `run` names of reference cases to the functions that train and forecast. */
import {
  countArg,
  fromOfficial,
  numberArg,
  type ParityCase,
  type ParityInputs,
  type ParityTable,
} from "../../formats/parityCase.ts";
import {
  autoCorrelation,
  channelLags,
  correlate,
  type LagWeights,
  lagCount,
  mixLags,
  ownLags,
  sharedLags,
} from "../../mixer/autoCorrelation.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { decompose } from "../../nn/series.ts";
import { caseRuns, renameGradients } from "../../regimen/parityTools.ts";
import type { Device } from "../../runtime/device.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { transpose } from "../../tensor/ops/structure.ts";
import { autoformerSchema } from "./config.ts";
import { Autoformer, seasonalNorm } from "./model.ts";
import { autoformerTraining } from "./objective.ts";

/** Last rows of [B, L, C]. */
function lastRows({ data, shape }: Value, rows: number): Value {
  const [batch = 0, length = 0, channels = 0] = shape;
  const kept = Array.from({ length: batch }, (_, b) =>
    Array.from(data.subarray((b * length + length - rows) * channels, (b + 1) * length * channels)),
  );
  return floats(kept.flat(), [batch, rows, channels]);
}

/** The first columns of marks [B, L, F] as floats; code: columns beyond a configuration's tables are not read. */
function firstMarks({ data, shape }: Value, wanted: number): Value {
  const [batch = 0, length = 0, width = 0] = shape;
  const count = Math.min(wanted, width); // too few are refused by the graph
  const kept = Float32Array.from({ length: batch * length * count }, (_, i) =>
    Number(data[Math.floor(i / count) * width + (i % count)]),
  );
  return floats(kept, [batch, length, count]);
}

/** The table of one case. `weights` are the case's, by official name. */
export function autoformerParity(
  parityCase: ParityCase,
  weights: Weights,
  device: Device,
): ParityTable & Disposable {
  const scope = Scope.root();
  const { d_ff, ...official } = parityCase.config;
  let built: Autoformer | undefined;
  // Only checks of the whole model need its configuration.
  const model = (): Autoformer => {
    const width = d_ff ?? 4 * Number(official.d_model ?? 512); // code: null is four times the width
    built ??= new Autoformer(scope, fromOfficial(autoformerSchema, { ...official, d_ff: width }));
    return built;
  };
  const { run, compute } = caseRuns(weights, device);
  const mixing =
    (lags: LagWeights) =>
    ({ tensor, args }: ParityInputs) => {
      const inputs = { q: tensor("queries"), k: tensor("keys"), v: tensor("values") };
      return compute(inputs, ({ q, k, v }) => {
        const correlation = correlate(q, k);
        const { transform, spectrum } = correlation;
        const chosen = lags(correlation, lagCount(numberArg({ args }, "factor"), transform.length));
        return {
          values: mixLags(v, chosen, transform),
          corr: transpose(transform.inverse(spectrum), [0, 3, 1, 2]),
        };
      });
    };
  const windows = ({ tensor }: ParityInputs) => {
    const { marks, config } = model();
    const marked = (name: string) =>
      config.embed === "timeF" ? tensor(name) : firstMarks(tensor(name), marks);
    return {
      past: tensor("x_enc"),
      ...{ pastMarks: marked("x_mark_enc"), futureMarks: marked("x_mark_dec") },
    };
  };
  const forecast = (lags: LagWeights) => async (inputs: ParityInputs) => {
    const mixer = autoCorrelation(model().config.factor, lags);
    return compute(windows(inputs), (x) => ({ forecast: model().forecast(x, mixer) }));
  };
  const training = async (inputs: ParityInputs) => {
    const { factor, predictionLength } = model().config;
    const future = lastRows(inputs.tensor("y"), predictionLength);
    const graph = autoformerTraining(scope, model(), autoCorrelation(factor, sharedLags));
    return renameGradients(await run(graph, { ...windows(inputs), future }), "");
  };
  return {
    "series-decomposition": ({ tensor, args }) =>
      compute({ x: tensor("x") }, ({ x }) => ({
        ...decompose(x, countArg({ args }, "moving_avg")),
      })),
    "seasonal-layernorm": ({ tensor }) =>
      compute({ x: tensor("x"), weight: tensor("weight"), bias: tensor("bias") }, ({ x, weight, bias }) => ({
        y: seasonalNorm(x, weight, bias),
      })),
    "auto-correlation-inference": mixing(ownLags),
    "auto-correlation-training": mixing(sharedLags),
    "auto-correlation-full": mixing(channelLags),
    forecast: forecast(ownLags),
    "forward-train": forecast(sharedLags),
    loss: training,
    "loss-grad": training,
    [Symbol.dispose]: () => undefined,
  };
}
