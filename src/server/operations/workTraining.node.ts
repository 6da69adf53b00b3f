/** A training run, as `nextx train` does it. */
import type { TrainEvent } from "../../regimen/trainRun.node.ts";
import { writeRunReport } from "../../report.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import { type TrainOptions, train } from "../../train.node.ts";
import type { Work, WorkEvent } from "./messages.ts";
import type { WorkContext, Working } from "./working.ts";

type Training = Work & { readonly kind: "train" };

/** A process that was told to end with its server may still be in its last step. */
const lockPatienceMs = 20_000;
const lockRetryMs = 500;

/** As the page sees it; undefined for what it need not know. */
function toldOf(event: TrainEvent): WorkEvent | undefined {
  switch (event.kind) {
    case "stage":
      return event;
    case "step": {
      const { stage, steps, report, samplesPerSecond, remainingMs } = event;
      const loss = Number.isFinite(report.loss) ? report.loss : null;
      return { kind: "step", stage, step: report.step, steps, loss, samplesPerSecond, remainingMs };
    }
    case "observed":
      return { kind: "observed", stage: event.stage, step: event.step, hasSample: event.file !== undefined };
    case "saved":
      return event;
    case "notice":
      return { kind: "text", text: event.text };
    case "stopped":
    case "finished":
      return undefined;
    default:
      return event satisfies never;
  }
}

/** Begins or goes on; waits for a lock that is about to be given back. */
async function* patiently(system: string, options: TrainOptions): AsyncGenerator<TrainEvent> {
  const end = performance.now() + lockPatienceMs;
  for (;;) {
    try {
      return yield* train(system, options);
    } catch (error) {
      const isLocked = error instanceof NextxError && error.code === "RUN_LOCKED";
      if (!isLocked || performance.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, lockRetryMs));
  }
}

export async function* workTraining(work: Training, { setting, signal, onText }: WorkContext): Working {
  const { system, folder, begin, checkpointEvery, observeEvery } = work;
  const { device, threads, version, dataRoot } = setting;
  const events = patiently(system, {
    folder,
    version,
    signal,
    ...{ device, threads },
    every: { checkpoint: checkpointEvery, observe: observeEvery },
    onProgress: (text, done, total) => onText(`${text} ${done} of ${total}`),
    ...(begin?.recipe !== undefined && { recipe: begin.recipe }),
    ...(begin && { overrides: begin.overrides }),
    ...(begin?.from !== undefined && { from: begin.from }),
    ...(dataRoot !== undefined && { dataRoot }),
  });
  for await (const event of events) {
    const told = toldOf(event);
    if (told) yield told;
    if (event.kind === "observed" || event.kind === "stopped" || event.kind === "finished")
      await writeRunReport(folder);
    if (event.kind === "stopped") return { outcome: "stopped" };
  }
  return { outcome: "finished" };
}
