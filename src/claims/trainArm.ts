/** Training as part of an arm: a stage in memory, with what a row keeps of it. */
import type { ClaimSetting } from "../evaluate/claim/claim.ts";
import type { Weights } from "../nn/scope.ts";
import type { Stage, StageContext } from "../regimen/system.ts";
import type { TokenCache } from "../regimen/tokenSet.ts";
import type { Metrics } from "../regimen/trainer.ts";
import { trainStage } from "../regimen/trainStage.ts";

/** What stages of a claim's arms may use. */
export function stageContext(
  { device, openData, readWeights, onProgress }: ClaimSetting,
  { set, size }: { readonly set: string; readonly size: number },
  over: Pick<StageContext, "seed" | "earlier"> & {
    readonly tokens?: TokenCache;
    readonly signal?: AbortSignal;
  },
): StageContext {
  return {
    device,
    data: (split) => openData(set, size, split),
    readWeights,
    onProgress: (text, done, total) => onProgress?.(`${text} ${done} of ${total}`),
    ...over,
  };
}

export interface Trained {
  /** Those of before with the trained ones in their place. */
  readonly weights: Weights;
  readonly held: Metrics;
  readonly secondsPerStep: number;
  /** Mean loss over equal stretches, at most 30. */
  readonly curve: number[];
}

/** Means of equal stretches. */
export function binned(values: readonly number[], most = 30): number[] {
  const bins = Math.min(most, values.length);
  return Array.from({ length: bins }, (_, i) => {
    const part = values.slice(
      Math.floor((i * values.length) / bins),
      Math.floor(((i + 1) * values.length) / bins),
    );
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
}

/** Trains a stage to its end and looks at held-out data once. @throws NextxError ABORTED, TRAIN_NOT_FINITE, DATA_ codes */
export async function trained(
  stage: Stage,
  context: StageContext,
  note: (text: string) => void,
): Promise<Trained> {
  const training = trainStage(stage, context);
  const losses: number[] = [];
  let held: Metrics = {};
  let startMs: number | undefined;
  let endMs = 0;
  let next = await training.next();
  for (; !next.done; next = await training.next()) {
    const { report, run, best, steps } = next.value;
    startMs ??= performance.now(); // the first step compiles
    endMs = performance.now(); // looking at held-out data is no step
    losses.push(report.loss);
    note(`step ${report.step} of ${steps}, loss ${report.loss.toFixed(4)}`);
    if (report.step === steps) held = (await run.observe(best)).metrics;
  }
  const seconds = (endMs - (startMs ?? 0)) / 1000;
  return {
    weights: next.value,
    held,
    secondsPerStep: seconds / Math.max(1, losses.length - 1),
    curve: binned(losses),
  };
}

/** Numbers and lists of metrics, as rows keep them. */
export const listed = (metrics: Metrics): Record<string, number | number[]> =>
  Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => [name, typeof value === "number" ? value : [...value]]),
  );
