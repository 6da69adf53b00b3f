/** Pictures made in the worker, told like the server tells them. */
import {
  decodePng,
  fitSquare,
  fromBase64,
  type Model,
  packEach,
  packStrip,
  pictureMask,
  type SampleOptions,
  toBase64,
} from "../../src/index.web.ts";
import type { GenerateInput } from "../../src/server/protocol.ts";
import type { Task, TaskEvents } from "./messages.ts";
import type { OpenModels } from "./models.ts";
import type { Work } from "./work.ts";

function optionsOf({ imageSize }: Model, request: GenerateInput, signal: AbortSignal): SampleOptions {
  const { settings = {}, class: given, count, seed = 0, first = 0, edit } = request;
  return {
    ...settings,
    ...(given !== undefined && { class: given }),
    ...(count !== undefined && { count }),
    seed,
    first,
    previews: true,
    ...(edit && {
      edit: {
        pixels: fitSquare(decodePng(fromBase64(edit.png), { path: "edit" }), imageSize),
        ...(edit.box && { box: edit.box }),
        ...(edit.mask !== undefined && {
          mask: pictureMask(decodePng(fromBase64(edit.mask), { path: "edit.mask" }), imageSize),
        }),
        where: edit.where ?? "inside",
      },
    }),
    signal,
  };
}

/** @throws NextxError ABORTED between steps, and the codes of loading and sampling */
export async function generate(
  { model: address, request }: Task & { name: "generate" },
  models: OpenModels,
  work: Work<TaskEvents["generate"]>,
): Promise<void> {
  const asked = performance.now();
  const onProgress = (done: number, total: number) => work.emit({ kind: "loading", done, total });
  const model = await models.model(address, onProgress, work.signal);
  await work.pause();
  work.emit({ kind: "started" });
  const start = performance.now();
  const options = optionsOf(model, request, work.signal);
  let pixels = new Uint8Array(0);
  for await (const event of model.sample(options)) {
    pixels = Uint8Array.from(event.pixels);
    const { done, total } = event;
    work.emit({ kind: "preview", done, total, strip: toBase64(packStrip(pixels, model.imageSize)) });
    await work.pause();
  }
  const packed = packEach(model, options, pixels, { columns: request.columns, version: __NEXTX_VERSION__ });
  work.emit({
    kind: "finished",
    pictures: packed.pictures.map(toBase64),
    grid: toBase64(packed.grid),
    waitedMs: start - asked,
    computedMs: performance.now() - start,
  });
}
