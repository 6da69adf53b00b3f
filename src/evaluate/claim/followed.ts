/** What an arm's row keeps of a training. */
import type { Weights } from "../../nn/scope.ts";
import type { Metrics } from "../../regimen/trainer.ts";
import type { trainStage } from "../../regimen/trainStage.ts";
import { thinned } from "../thinned.ts";

export interface Trained {
  /** Those of before with the trained ones in their place. */
  readonly weights: Weights;
  /** The look at held-out data after the last step. */
  readonly held: Metrics;
  readonly secondsPerStep: number;
  /** A step's number over equal stretches, at most 30 means. */
  readonly curve: number[];
}

/** Numbers and lists of metrics, as rows keep them. */
export const listed = (metrics: Metrics): Record<string, number | number[]> =>
  Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => [name, typeof value === "number" ? value : [...value]]),
  );

/**
 * Runs a training to its end and looks at held-out data once; the curve is of the named metric where a step has it, else of
 * the loss. Errors: ABORTED, TRAIN_NOT_FINITE, DATA_ codes.
 */
export async function followed(
  training: ReturnType<typeof trainStage>,
  note: (text: string) => void,
  curveOf = "loss",
): Promise<Trained> {
  const curve: number[] = [];
  let held: Metrics = {};
  let startMs: number | undefined;
  let endMs = 0;
  let next = await training.next();
  for (; !next.done; next = await training.next()) {
    const { report, run, best, steps } = next.value;
    startMs ??= performance.now(); // the first step compiles
    endMs = performance.now(); // looking at held-out data is no step
    curve.push(Number(report.metrics[curveOf] ?? report.loss));
    note(`step ${report.step} of ${steps}, loss ${report.loss.toFixed(4)}`);
    if (report.step === steps) held = (await run.observe(best)).metrics;
  }
  const seconds = (endMs - (startMs ?? 0)) / 1000;
  return {
    weights: next.value,
    held,
    secondsPerStep: seconds / Math.max(1, curve.length - 1),
    curve: thinned(curve, 30),
  };
}
