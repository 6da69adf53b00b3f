/**
 * A process that does one piece of long work and ends: started by the server for it, told to stop over the channel, ended
 * with its parent. Whatever it does can be killed at any moment and begun again: it goes on where its files stand.
 */
import type { Inspected } from "../../inspect.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import { plainError } from "../errors.ts";
import { stepBack } from "../niceness.node.ts";
import type { FromOperator, OperatorSetting, Question, ToOperator, Work, WorkEvent } from "./messages.ts";
import { workClaim } from "./workClaim.node.ts";
import { workFiles } from "./workFiles.node.ts";
import { type WorkContext, WorkFailure, type Working } from "./working.ts";
import { workTraining } from "./workTraining.node.ts";

/** Of a file's tensors, and of its dicts. */
const toldTensors = 1000;
/** Steps are told at most so often. */
const tellEveryMs = 250;

const send = (message: FromOperator): void => {
  process.send?.(message);
};

function perform(work: Work, context: WorkContext): Working {
  switch (work.kind) {
    case "train":
      return workTraining(work, context);
    case "claim":
      return workClaim(work, context);
    case "convert":
    case "quantize":
    case "export":
      return workFiles(work, context);
    default:
      return work satisfies never;
  }
}

/** Without most of a long list: it goes through the server's own process. */
function shortened(found: Inspected) {
  const { tensors, dicts } = found;
  return {
    ...found,
    ...(Array.isArray(dicts) && { dicts: dicts.slice(0, toldTensors) }),
    ...(tensors && { tensors: tensors.slice(0, toldTensors), tensorCount: tensors.length }),
  };
}

async function answer(question: Question, { threads, dataRoot }: OperatorSetting): Promise<unknown> {
  switch (question.kind) {
    case "arms": {
      const { claimArms } = await import("../../claim.node.ts");
      const root = dataRoot === undefined ? {} : { dataRoot };
      return claimArms(question.system, { out: question.results, device: "cpu", threads, ...root });
    }
    case "inspect": {
      const { inspect } = await import("../../inspect.node.ts");
      return shortened(await inspect(question.path, question.key));
    }
    default:
      return question satisfies never;
  }
}

const controller = new AbortController();

/** Gives the last message. */
async function run(work: Work, setting: OperatorSetting): Promise<FromOperator> {
  let toldMs = Number.NEGATIVE_INFINITY;
  const tell = (event: WorkEvent) => {
    const isFrequent = event.kind === "text" || (event.kind === "step" && event.step < event.steps);
    if (isFrequent && performance.now() - toldMs < tellEveryMs) return;
    if (isFrequent) toldMs = performance.now();
    send({ kind: "event", event });
  };
  const { signal } = controller;
  const events = perform(work, { setting, signal, onText: (text) => tell({ kind: "text", text }) });
  for (;;) {
    const next = await events.next();
    if (next.done) return { kind: "ended", ...next.value };
    tell(next.value);
  }
}

function failed(error: unknown): FromOperator {
  if (error instanceof WorkFailure)
    return { kind: "failed", error: plainError(error.error), result: error.result };
  const isStopped = error instanceof NextxError && error.code === "ABORTED" && controller.signal.aborted;
  return isStopped ? { kind: "ended", outcome: "stopped" } : { kind: "failed", error: plainError(error) };
}

/** Hangs up when the last message is on its way: nothing computes any more. */
const end = (last: FromOperator): void => {
  process.send?.(last, () => process.disconnect?.());
};

process.on("message", (message: ToOperator) => {
  if (message.kind === "stop") controller.abort();
  else if (message.kind === "work") void run(message.work, message.setting).catch(failed).then(end);
  else {
    void answer(message.question, message.setting)
      .then((found): FromOperator => ({ kind: "answer", answer: found }))
      .catch(failed)
      .then(end);
  }
});
// A process that exits while the runtime computes aborts noisily; files are written so that this loses little.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.on("SIGINT", () => undefined); // the parent decides
process.on("SIGTERM", () => undefined);
stepBack();
send({ kind: "ready" });
