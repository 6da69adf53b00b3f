/** Training in the worker: one stage of a system on procedural pictures. */
import {
  encodePng,
  fetchModel,
  type MemoryTrainEvent,
  sha256Of,
  toBase64,
  trainInMemory,
} from "../../src/index.web.ts";
import type { TaskEvents, TrainTask } from "./messages.ts";
import type { OpenModels } from "./models.ts";
import type { Work } from "./work.ts";

type Event = TaskEvents["train"];

async function told(event: MemoryTrainEvent): Promise<Event> {
  switch (event.kind) {
    case "stage":
      return event;
    case "step": {
      const { step, loss, learningRate } = event.report;
      return { kind: "step", step, loss, learningRate };
    }
    case "observed": {
      const { metrics, picture } = event.observation;
      return {
        kind: "observed",
        step: event.step,
        metrics,
        picture: picture && toBase64(encodePng(picture)),
      };
    }
    case "finished": {
      const file = Uint8Array.from(event.model);
      return { kind: "finished", file, sha256: await sha256Of(file) };
    }
    default:
      return event satisfies never;
  }
}

/** @throws NextxError ABORTED between steps, and the codes of loading and training */
export async function train(
  { model: address, stage, keeps, overrides, observeEvery }: TrainTask,
  models: OpenModels,
  work: Work<Event>,
): Promise<void> {
  const { signal } = work;
  const onProgress = (text: string, done: number, total: number) =>
    work.emit({ kind: "progress", text, done, total });
  const from = await fetchModel(address, {
    signal,
    onProgress: (done, total) => onProgress("fetching the model", done, total),
  });
  onProgress("starting the runtime", 0, 1);
  const device = await models.device();
  const events = trainInMemory({
    from,
    stage,
    overrides,
    observeEvery,
    device,
    signal,
    onProgress,
    ...(keeps !== undefined && { keeps: (name: string) => name.startsWith(keeps) }),
  });
  for await (const event of events) {
    work.emit(await told(event));
    await work.pause();
  }
}
