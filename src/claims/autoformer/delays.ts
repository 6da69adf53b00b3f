/**
 * Which delays a trained Autoformer finds in a series that repeats every day: the heaviest lags of every encoder layer, of
 * test windows it never saw. Source: arXiv 2106.13008, section 4.3 (learned lags follow the period).
 */
import { openWindows, type SeriesSource } from "../../data/series/windows.ts";
import type { Arm, ArmContext } from "../../evaluate/claim/arms.node.ts";
import type { ClaimSetting } from "../../evaluate/claim/claim.ts";
import { type ForecastTraining, trainForecaster } from "../../evaluate/forecast/train.ts";
import { correlate, lagCount, mixLags, ownLags } from "../../mixer/autoCorrelation.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { shapeOf } from "../../regimen/seriesSystem.ts";
import { compile } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { type AutoformerConfig, autoformerSchema } from "../../systems/autoformer/config.ts";
import { Autoformer } from "../../systems/autoformer/model.ts";
import { windowSpecs } from "../../systems/autoformer/objective.ts";
import { autoformerTrainee, smallAutoformer } from "../../systems/autoformer/trainee.ts";
import { RandomStream } from "../../tensor/random.ts";
import type { Tensor } from "../../tensor/tensor.ts";

export interface DelayOptions {
  /** Rows after which the series repeats. */
  readonly period: number;
  readonly rows: number;
  readonly channels: number;
  /** Deviation of what does not repeat, against waves of size 1. */
  readonly noise: number;
  readonly contextLength: number;
  readonly predictionLength: number;
  readonly training: Omit<ForecastTraining, "seed">;
  readonly seeds: readonly number[];
  /** Test windows that are looked at. */
  readonly windows: number;
}

export const delaysName = "delays";

/** Waves of one period, a phase per channel, and noise. */
export function repeatingSource({ period, rows, channels, noise }: DelayOptions, seed: number): SeriesSource {
  const stream = RandomStream.from(seed, "claim/delays");
  const phases = Array.from({ length: channels }, () => 2 * Math.PI * stream.uniform());
  const start = Date.UTC(2020, 0, 1);
  const [train, validation] = [Math.floor(0.6 * rows), Math.floor(0.8 * rows)];
  const values = Float32Array.from({ length: rows * channels }, (_, i) => {
    const [row, channel] = [Math.floor(i / channels), i % channels];
    return Math.sin((2 * Math.PI * row) / period + (phases[channel] as number)) + noise * stream.normal(); // in range
  });
  return {
    ...{ id: `repeating-${period}-${seed}`, version: "1", frequency: "h", season: period },
    table: {
      channels: phases.map((_, i) => `y${i}`),
      timesMs: Float64Array.from({ length: rows }, (_, i) => start + i * 3_600_000),
      values,
    },
    borders: { train: [0, train], validation: [train, validation], test: [validation, rows] },
  };
}

/** Weights of the lags in every layer of the encoder: `layer0`, `layer1`, .. [B, 1, 1, L]. */
function lagGraph(config: AutoformerConfig) {
  const model = new Autoformer(Scope.root(), config);
  return trace(windowSpecs(model), (window) => {
    const found: Tensor[] = [];
    model.forecast(window, (queries, keys, values) => {
      const correlation = correlate(queries, keys);
      const { transform } = correlation;
      const weights = ownLags(correlation, lagCount(config.factor, transform.length));
      found.push(weights);
      return mixLags(values, weights, transform);
    });
    const layers = found.slice(0, config.encoderDepth); // the encoder is described first
    return Object.fromEntries(layers.map((weights, i) => [`layer${i}`, weights]));
  });
}

/**
 * Of the heaviest lags of each row, as many as periods fit into a window: the share that are multiples of the period, and
 * the share whose distance from the heaviest one is.
 */
export function periodicShares(weights: ArrayLike<number>, length: number, period: number) {
  const rows = weights.length / length;
  const count = Math.floor((length - 1) / period) + 1;
  let [multiples, apart] = [0, 0];
  for (let row = 0; row < rows; row++) {
    const at = (lag: number) => weights[row * length + lag] as number; // in range
    const heaviest = Array.from({ length }, (_, lag) => lag)
      .sort((a, b) => at(b) - at(a))
      .slice(0, count);
    const [first = 0] = heaviest;
    multiples += heaviest.filter((lag) => lag % period === 0).length;
    apart += heaviest.filter((lag) => (lag - first) % period === 0).length;
  }
  return { multiples: multiples / rows / count, apart: apart / rows / count };
}

/** What heaviest lags drawn at random would give: the heaviest one lies no distance from itself. */
export function sharesByChance({ contextLength, period }: Pick<DelayOptions, "contextLength" | "period">) {
  const count = Math.floor((contextLength - 1) / period) + 1;
  return {
    multiples: count / contextLength,
    apart: (1 + ((count - 1) * (count - 1)) / (contextLength - 1)) / count,
  };
}

/** Lists by seed: mean shares over the encoder's layers. */
export function delaysArm({ device, onProgress }: ClaimSetting, options: DelayOptions): Arm {
  const { seeds, training, windows: count, period } = options;
  const measure = async (weights: Weights, source: SeriesSource) => {
    const config = autoformerSchema.parse(smallAutoformer(shapeOf(source, options)));
    const graph = lagGraph(config);
    using program = await compile(graph, { device, weights, prepack: false });
    const windows = openWindows(source, "test", options);
    const some = Array.from({ length: Math.min(count, windows.length) }, (_, i) => i);
    const out = await program.run(windows.batch(some, config.labelLength));
    const shares = Object.values(out).map(({ data }) =>
      periodicShares(data as Float32Array, options.contextLength, period),
    );
    const mean = (key: "multiples" | "apart") =>
      shares.reduce((sum, share) => sum + share[key], 0) / shares.length;
    return { multiples: mean("multiples"), apart: mean("apart") };
  };
  return {
    name: delaysName,
    definition: { ...options, version: 1 },
    run: async ({ signal }: ArmContext) => {
      const numbers: Record<"multiples" | "apart", number[]> = { multiples: [], apart: [] };
      for (const seed of seeds) {
        const source = repeatingSource(options, seed);
        const shape = shapeOf(source, options);
        const { weights } = await trainForecaster(
          autoformerTrainee(smallAutoformer(shape)),
          { ...training, seed },
          {
            device,
            train: openWindows(source, "train", options),
            validation: openWindows(source, "validation", options),
            onStep: ({ step, loss }, steps) =>
              onProgress?.(`${delaysName}, seed ${seed}: step ${step} of ${steps}, loss ${loss.toFixed(4)}`),
            ...(signal && { signal }),
          },
        );
        const shares = await measure(weights, source);
        numbers.multiples.push(shares.multiples);
        numbers.apart.push(shares.apart);
      }
      return { numbers };
    },
  };
}
