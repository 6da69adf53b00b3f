/** Entry of the worker that computes in the page: takes tasks, tells what they do, looks for a cancel between steps. */
import { z } from "zod";
import { NextxError, readPictureRecipe } from "../../src/index.web.ts";
import { generate } from "./generate.ts";
import type { FromWorker, PlainError, Task, TaskEvents, ToWorker } from "./messages.ts";
import { OpenModels } from "./models.ts";
import { train } from "./train.ts";
import { Work } from "./work.ts";

z.config({ jitless: true }); // pages forbid code made from text

type AnyEvent = TaskEvents[keyof TaskEvents];

const running = new Map<number, Work<AnyEvent>>();
let models: OpenModels | undefined;

const post = (message: FromWorker): void => self.postMessage(message);

function plain(error: unknown): PlainError {
  if (!(error instanceof NextxError)) return { code: "INTERNAL", message: String(error) };
  const { code, message, hint } = error;
  return { code, message, ...(hint !== undefined && { hint }) };
}

async function run(id: number, task: Task, open: OpenModels): Promise<void> {
  const work = new Work<AnyEvent>((event) => post({ kind: "event", id, event }));
  running.set(id, work);
  try {
    switch (task.name) {
      case "generate":
        await generate(task, open, work);
        break;
      case "train":
        await train(task, open, work);
        break;
      case "recipe":
        work.emit({ kind: "recipe", recipe: readPictureRecipe(task.png, "The picture") });
        break;
      default:
        task satisfies never;
    }
    post({ kind: "ended", id });
  } catch (error) {
    post({ kind: "failed", id, error: plain(error) });
  } finally {
    running.delete(id);
  }
}

self.onmessage = ({ data: message }: MessageEvent<ToWorker>) => {
  switch (message.kind) {
    case "open":
      models = new OpenModels(message.files, (device) => post({ kind: "device", device }));
      void models.device().catch(() => undefined); // starts early; who needs it hears of its failure
      break;
    case "start":
      if (models) void run(message.id, message.task, models);
      break;
    case "cancel":
      running.get(message.id)?.cancel();
      break;
    case "hold":
      running.get(message.id)?.hold(message.held);
      break;
    default:
      message satisfies never;
  }
};
