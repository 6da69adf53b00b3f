/** Arms that fit autoregressive processes whose coefficients are known: how far a long roll-out lies from what to expect. */
import { openWindows } from "../../data/series/windows.ts";
import type { Arm, ArmContext } from "../../evaluate/claim/arms.node.ts";
import type { ClaimSetting } from "../../evaluate/claim/claim.ts";
import { benchmarkTraining, trainForecaster } from "../../evaluate/forecast/train.ts";
import type { Weights } from "../../nn/scope.ts";
import { compile } from "../../runtime/program.ts";
import { type LoopKind, type LoopSizes, loopForecast, loopTrainee } from "./loops.ts";
import { coefficients, expected, processSource, type Roots } from "./process.ts";

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

export const kinds: readonly LoopKind[] = ["companion", "decay", "shift"];
export const orderOf = ({ angles }: Roots): number => 2 * angles.length;
export const fitName = (roots: Roots, kind: LoopKind): string => `fit-${orderOf(roots)}-${kind}`;

/**
 * Errors of roll-outs over the test windows, on the process's own scale of deviation 1: against what the true coefficients
 * let one expect, against what came, and the error of the true coefficients themselves against what came.
 */
async function rolloutErrors(
  { device }: ClaimSetting,
  kind: LoopKind,
  weights: Weights,
  windows: ReturnType<typeof openWindows>,
  phi: readonly number[],
  { sizes, rollout }: FitOptions,
) {
  using program = await compile(loopForecast(kind, sizes, rollout), { device, weights, prepack: false });
  let [toExpected, toActual, floor, count] = [0, 0, 0, 0];
  for (let first = 0; first < windows.length; first += 32) {
    const indices = Array.from({ length: Math.min(32, windows.length - first) }, (_, i) => first + i);
    const { past, future } = windows.batch(indices, 0);
    const { forecast } = await program.run({ past });
    const made = forecast?.data as Float32Array; // the graph's output
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
export function fitArm(setting: ClaimSetting, roots: Roots, kind: LoopKind, options: FitOptions): Arm {
  const { rows, sizes, seeds, epochs, stepsPerEpoch, learningRate, rollout } = options;
  const phi = coefficients(roots);
  const name = fitName(roots, kind);
  return {
    name,
    definition: { kind, roots, rows, sizes, rollout, epochs, stepsPerEpoch, learningRate, seeds, version: 1 },
    run: async ({ signal }: ArmContext) => {
      const table: Awaited<ReturnType<typeof rolloutErrors>>[] = [];
      for (const seed of seeds) {
        const source = processSource(phi, rows, seed);
        const { weights } = await trainForecaster(
          loopTrainee(kind, sizes),
          {
            ...{ ...benchmarkTraining, learningRate, epochs, stepsPerEpoch, seed },
            ...{ patience: epochs, validationStride: 4 },
          },
          {
            device: setting.device,
            train: openWindows(source, "train", sizes),
            validation: openWindows(source, "validation", sizes),
            onStep: ({ step, loss }, steps) =>
              setting.onProgress?.(
                `${name}, seed ${seed}: step ${step} of ${steps}, loss ${loss.toFixed(4)}`,
              ),
            ...(signal && { signal }),
          },
        );
        const windows = openWindows(source, "test", { ...sizes, predictionLength: rollout });
        table.push(await rolloutErrors(setting, kind, weights, windows, phi, options));
      }
      const column = (key: "excess" | "mse" | "floor") => table.map((row) => row[key]);
      return { numbers: { excess: column("excess"), mse: column("mse"), floor: column("floor") } };
    },
  };
}
