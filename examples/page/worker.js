/**
 * Pictures in a worker of your page, on WebGPU, wasm threads or wasm: whatever is fastest there. Build it with a bundler
 * that knows workers (Vite: `new Worker(new URL("./worker.js", import.meta.url), { type: "module" })`). The page serves the
 * files of `node_modules/onnxruntime-web/dist` at RUNTIME and a model's file at MODEL.
 */
import { modelOfBytes, openFastest, openModel, packStrip, sha256Of } from "nextx/web";

const RUNTIME = "/runtime/"; // ort-wasm-*.mjs and .wasm
const MODEL = "/models/sar-synth-32/model.safetensors"; // from node_modules/nextx/models

/** Opened once, when the first request comes. */
let opened;
async function open() {
  const { device } = await openFastest({ files: new URL(RUNTIME, self.location.origin).href });
  const bytes = new Uint8Array(await (await fetch(MODEL)).arrayBuffer());
  const sha256 = await sha256Of(bytes); // compare it with the card's to know that the file is whole
  return openModel(modelOfBytes(bytes, { name: "sar-synth-32", sha256 }), device);
}

/** Posts a strip of PNG bytes after every scale. */
self.onmessage = async ({ data: { label, seed, count } }) => {
  opened ??= open();
  const model = await opened;
  for await (const { done, total, pixels } of model.sample({ class: label, seed, count, previews: true })) {
    self.postMessage({ done, total, png: packStrip(Uint8Array.from(pixels), model.imageSize) });
  }
};
