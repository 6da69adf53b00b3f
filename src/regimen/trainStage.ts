/** One stage trained in memory, for claims and demonstrations; what must survive a crash goes through `trainRun`. */

import { throwIfAborted } from "../decoding/loop.ts";
import type { Weights } from "../nn/scope.ts";
import { RandomStream } from "../tensor/random.ts";
import type { Stage, StageContext, StageRun } from "./system.ts";
import { type StepReport, Trainer } from "./trainer.ts";

/** After one step. */
export interface StageStep {
  readonly report: StepReport;
  readonly steps: number;
  readonly run: StageRun;
  /** Weights to sample with; they change with the next step. */
  readonly best: Weights;
}

/**
 * Trains a stage from the weights in `context.earlier`; returns those with the trained ones in their place.
 * @throws NextxError ABORTED between steps, TRAIN_NOT_FINITE, and the codes of data
 */
export async function* trainStage(stage: Stage, context: StageContext): AsyncGenerator<StageStep, Weights> {
  const run = await stage.create(context);
  const stream = RandomStream.from(context.seed, "train/init");
  using trainer = await Trainer.create(run.task, stage.options, context.device, stream);
  while (trainer.step < stage.steps) {
    throwIfAborted(context.signal);
    const report = await trainer.advance();
    yield { report, steps: stage.steps, run, best: trainer.best };
  }
  return new Map([...context.earlier, ...trainer.best]);
}
