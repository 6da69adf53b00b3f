/**
 * The process that computes: takes batches over the channel to its parent, looks for a cancel between model steps, ends
 * with its parent. Killing it loses the batch at hand and nothing else.
 */
import { setPriority } from "node:os";
import { type Model, openModel } from "../../model.ts";
import { findModel } from "../../models.node.ts";
import { editOf } from "../../picture.node.ts";
import { packEach, packStrip } from "../../picture.ts";
import type { EditRequest, SampleEvent } from "../../regimen/system.ts";
import { openDevice } from "../../runtime/device.node.ts";
import type { Device } from "../../runtime/device.ts";
import type { SampleOptions } from "../../sampleRecipe.ts";
import { plainError } from "../errors.ts";
import type { Batch, BatchPart, FromCompute, ToCompute } from "./messages.ts";
import { OpenModels } from "./openModels.ts";

/** Models kept open. */
const maxModels = 4;
/** Below the server's own priority, so that it answers while all cores compute. */
const niceness = 5;

const [deviceName = "cpu", threads = "2", version = ""] = process.argv.slice(2);
const running = new Map<number, AbortController>();

const send = (message: FromCompute): void => {
  process.send?.(message);
};

function optionsOf(
  part: BatchPart,
  settings: Batch["settings"],
  edit: EditRequest | undefined,
): SampleOptions {
  const { labels, seed, first, previews } = part;
  const classes = labels.filter((label) => label !== null);
  return {
    ...settings,
    ...(classes.length > 0 && { class: classes }),
    count: labels.length,
    seed,
    first,
    previews,
    ...(edit && { edit }),
  };
}

async function run(id: number, batch: Batch, model: Model, signal: AbortSignal): Promise<void> {
  const start = performance.now();
  const names = { picture: "edit", mask: "edit.mask" };
  const edit = batch.edit && (await editOf(batch.edit, model.imageSize, names));
  const options = batch.parts.map((part) => optionsOf(part, batch.settings, edit));
  let events: readonly SampleEvent[] = [];
  for await (events of model.sampleTogether(options, signal)) {
    const { done = 0, total = 0 } = events[0] ?? {};
    if (done === total) break;
    const strips = events.map(({ pixels }, i) =>
      batch.parts[i]?.previews ? packStrip(pixels, model.imageSize) : null,
    );
    send({ kind: "step", id, step: { done, total, strips } });
  }
  const parts = batch.parts.map(({ columns }, i) => {
    const [own, { pixels }] = [options[i] as SampleOptions, events[i] as SampleEvent]; // one of each per part
    return packEach(model, own, pixels, { columns, version });
  });
  const { done = 0, total = 0 } = events[0] ?? {};
  const strips = events.map(({ pixels }, i) =>
    batch.parts[i]?.previews ? packStrip(pixels, model.imageSize) : null,
  );
  send({ kind: "step", id, step: { done, total, strips } });
  send({ kind: "finished", id, result: { parts, computedMs: performance.now() - start } });
}

// A process that exits while the runtime computes aborts noisily; nothing here needs an orderly end.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.on("SIGINT", () => undefined); // the parent decides
process.on("SIGTERM", () => undefined);
try {
  setPriority(niceness);
} catch {
  // not allowed here: health checks may answer later under load
}

function serve(device: Device): void {
  const models = new OpenModels(async (name) => openModel(await findModel(name), device), maxModels);
  process.on("message", (message: ToCompute) => {
    if (message.kind === "cancel") {
      running.get(message.id)?.abort();
      return;
    }
    const { id, batch } = message;
    const controller = new AbortController();
    running.set(id, controller);
    models
      .use(batch, (model) => run(id, batch, model, controller.signal))
      .catch((error: unknown) => send({ kind: "failed", id, error: plainError(error) }))
      .finally(() => running.delete(id));
  });
  send({ kind: "ready" });
}

openDevice({ device: deviceName, threads: Number(threads) }).then(serve, (error: unknown) => {
  process.send?.({ kind: "refused", error: plainError(error) } satisfies FromCompute, () => process.exit(1));
});
