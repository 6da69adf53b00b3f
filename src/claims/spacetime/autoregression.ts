/** Arms that fit autoregressive processes whose coefficients are known: how far a long roll-out lies from what to expect. */
import { openWindows } from "../../data/series/windows.ts";
import type { Arm, ArmContext } from "../../evaluate/claim/arms.node.ts";
import type { ClaimSetting } from "../../evaluate/claim/claim.ts";
import { benchmarkTraining, trainForecaster } from "../../evaluate/forecast/train.ts";
import type { Weights } from "../../nn/scope.ts";
import { compile } from "../../runtime/program.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { type LoopKind, type LoopSizes, loopForecast, loopTrainee, stepTrainee } from "./loops.ts";
import { coefficients, expected, processSource, type Roots, yuleWalker } from "./process.ts";

export interface FitOptions {
  /** Processes by the number of their coefficients. */
  readonly processes: readonly Roots[];
  readonly rows: number;
  readonly sizes: LoopSizes;
  /** Steps of the roll-outs that are measured; longer than the horizon of training. */
  readonly rollout: number;
  readonly epochs: number;
  readonly stepsPerEpoch: number;
  readonly learningRate: number;
  readonly seeds: readonly number[];
}

/** How a layer forecasts: its own loop, or one step on by convolution, fed back by whoever asks. */
export type FitKind = LoopKind | `step-${"companion" | "decay"}`;
export const kinds: readonly LoopKind[] = ["companion", "decay", "shift"];
export const stepKinds = ["step-companion", "step-decay"] as const;
const matrixOf = (kind: FitKind): LoopKind => kind.replace("step-", "") as LoopKind; // both are kinds of loops
const isStep = (kind: FitKind): boolean => kind.startsWith("step-");
export const orderOf = ({ angles }: Roots): number => 2 * angles.length;
export const predictableName = (roots: Roots): string => `predictable-${orderOf(roots)}`;
export const classicalName = (roots: Roots): string => `yule-walker-${orderOf(roots)}`;
export const fitName = (roots: Roots, kind: FitKind): string => `fit-${orderOf(roots)}-${kind}`;

type Rollout = (past: Value) => Promise<Float32Array>;

/** Horizons [B, O, 1] of look-backs [B, L, 1]. Dispose when done. */
async function openRollout(
  { device }: ClaimSetting,
  kind: FitKind,
  weights: Weights,
  { sizes, rollout }: FitOptions,
): Promise<Disposable & { readonly of: Rollout }> {
  const graph = isStep(kind)
    ? stepTrainee(matrixOf(kind), sizes).forecast
    : loopForecast(matrixOf(kind), sizes, rollout);
  const program = await compile(graph, { device, weights, prepack: false });
  const once: Rollout = async (past) => (await program.run({ past })).forecast?.data as Float32Array; // the graph's output
  const stepped: Rollout = async ({ data, shape: [rows = 0, length = 0] }) => {
    const windows = Float32Array.from(data as Float32Array); // look-backs are float32
    const out = new Float32Array(rows * rollout);
    for (let step = 0; step < rollout; step++) {
      const next = await once(floats(windows, [rows, length, 1]));
      for (let row = 0; row < rows; row++) {
        windows.copyWithin(row * length, row * length + 1, (row + 1) * length);
        windows[(row + 1) * length - 1] = next[row] as number; // one per row
        out[row * rollout + step] = next[row] as number;
      }
    }
    return out;
  };
  return { of: isStep(kind) ? stepped : once, [Symbol.dispose]: () => program[Symbol.dispose]() };
}

/**
 * Errors of roll-outs over the test windows, on the process's own scale of deviation 1: against what the true coefficients
 * let one expect, against what came, and the error of the true coefficients themselves against what came.
 */
async function rolloutErrors(
  { of }: { readonly of: Rollout },
  windows: ReturnType<typeof openWindows>,
  phi: readonly number[],
  { sizes, rollout }: FitOptions,
) {
  let [toExpected, toActual, floor, count] = [0, 0, 0, 0];
  for (let first = 0; first < windows.length; first += 32) {
    const indices = Array.from({ length: Math.min(32, windows.length - first) }, (_, i) => first + i);
    const { past, future } = windows.batch(indices, 0);
    const made = await of(past);
    for (const [row] of indices.entries()) {
      const from = (past.data as Float32Array).subarray(
        row * sizes.contextLength,
        (row + 1) * sizes.contextLength,
      );
      const best = expected(phi, from, rollout);
      for (let step = 0; step < rollout; step++, count++) {
        const at = row * rollout + step;
        const [value, came] = [made[at] as number, future.data[at] as number]; // in range
        toExpected += (value - (best[step] as number)) ** 2; // one per step
        toActual += (value - came) ** 2;
        floor += ((best[step] as number) - came) ** 2;
      }
    }
  }
  return { excess: toExpected / count, mse: toActual / count, floor: floor / count };
}

/** One form on one process, all seeds. */
export function fitArm(setting: ClaimSetting, roots: Roots, kind: FitKind, options: FitOptions): Arm {
  const { rows, sizes, seeds, epochs, stepsPerEpoch, learningRate, rollout } = options;
  const phi = coefficients(roots);
  const name = fitName(roots, kind);
  const trainedSizes = isStep(kind) ? { ...sizes, predictionLength: 1 } : sizes;
  return {
    name,
    definition: { kind, roots, rows, sizes, rollout, epochs, stepsPerEpoch, learningRate, seeds, version: 1 },
    run: async ({ signal }: ArmContext) => {
      const table: Awaited<ReturnType<typeof rolloutErrors>>[] = [];
      for (const seed of seeds) {
        const source = processSource(phi, rows, seed);
        const { weights } = await trainForecaster(
          (isStep(kind) ? stepTrainee : loopTrainee)(matrixOf(kind), trainedSizes),
          {
            ...{ ...benchmarkTraining, learningRate, epochs, stepsPerEpoch, seed },
            ...{ patience: epochs, validationStride: 4 },
          },
          {
            device: setting.device,
            train: openWindows(source, "train", trainedSizes),
            validation: openWindows(source, "validation", trainedSizes),
            onStep: ({ step, loss }, steps) =>
              setting.onProgress?.(
                `${name}, seed ${seed}: step ${step} of ${steps}, loss ${loss.toFixed(4)}`,
              ),
            ...(signal && { signal }),
          },
        );
        const windows = openWindows(source, "test", { ...sizes, predictionLength: rollout });
        using opened = await openRollout(setting, kind, weights, options);
        table.push(await rolloutErrors(opened, windows, phi, options));
      }
      const column = (key: "excess" | "mse" | "floor") => table.map((row) => row[key]);
      return { numbers: { excess: column("excess"), mse: column("mse"), floor: column("floor") } };
    },
  };
}

/** How much there is to predict, by seed: the mean square of what the true coefficients let one expect, the error of forecasting zero. */
export function predictableArm(roots: Roots, options: FitOptions): Arm {
  const { rows, sizes, seeds, rollout } = options;
  const phi = coefficients(roots);
  const square = (values: Float64Array) => values.reduce((sum, value) => sum + value * value, 0);
  return {
    name: predictableName(roots),
    definition: { roots, rows, contextLength: sizes.contextLength, rollout, seeds, version: 1 },
    run: async () => {
      const predictable = seeds.map((seed) => {
        const sizesOf = { ...sizes, predictionLength: rollout };
        const windows = openWindows(processSource(phi, rows, seed), "test", sizesOf);
        const all = Array.from({ length: windows.length }, (_, i) => i);
        const past = windows.batch(all, 0).past.data as Float32Array; // [B, I, 1]
        const sums = all.map((row) =>
          square(
            expected(phi, past.subarray(row * sizes.contextLength, (row + 1) * sizes.contextLength), rollout),
          ),
        );
        return sums.reduce((a, b) => a + b, 0) / (windows.length * rollout);
      });
      return { numbers: { predictable } };
    },
  };
}

/**
 * What a classical estimate from the same rows comes to, by seed: with as many coefficients as the process has (`own`) and as
 * many as a layer has states (`states`).
 */
export function classicalArm(roots: Roots, options: FitOptions): Arm {
  const { rows, sizes, seeds, rollout } = options;
  const phi = coefficients(roots);
  const [length, order] = [sizes.contextLength, orderOf(roots)];
  const excesses = (coefficientCount: number) =>
    Promise.all(
      seeds.map(async (seed) => {
        const source = processSource(phi, rows, seed);
        const { values } = source.table; // one channel
        const estimate = yuleWalker(values.subarray(...source.borders.train), coefficientCount);
        const of: Rollout = async ({ data, shape: [count = 0] }) => {
          const out = new Float32Array(count * rollout);
          const past = data as Float32Array; // look-backs are float32
          for (let row = 0; row < count; row++)
            out.set(
              expected(estimate, past.subarray(row * length, (row + 1) * length), rollout),
              row * rollout,
            );
          return out;
        };
        const windows = openWindows(source, "test", { ...sizes, predictionLength: rollout });
        return (await rolloutErrors({ of }, windows, phi, options)).excess;
      }),
    );
  return {
    name: classicalName(roots),
    definition: {
      ...{ roots, rows, contextLength: length, states: sizes.stateSize, rollout, seeds },
      ...{ estimate: "Yule-Walker", version: 1 },
    },
    run: async () => ({
      numbers: { own: await excesses(order), states: await excesses(sizes.stateSize) },
    }),
  };
}
