/** The public API in pages and workers: the same models, recipes and pictures as in Node, on onnxruntime-web. */

export { fitSquare } from "./data/fitSquare.ts";
export { pictureMask } from "./data/pictureMask.ts";
export { fromBase64, toBase64 } from "./formats/base64.ts";
export { decodePng, encodePng, type RgbImage } from "./formats/png.ts";
export {
  fetchModel,
  type LoadUrlOptions,
  loadUrl,
  type ModelAddress,
  modelOfBytes,
  sha256Of,
} from "./load.web.ts";
export { type Model, openModel } from "./model.ts";
export type { FoundModel } from "./modelCard.ts";
export { packEach, packStrip, readPictureRecipe } from "./picture.ts";
export type { EditRequest, SampleEvent } from "./regimen/system.ts";
export type { Device } from "./runtime/device.ts";
export { openFastest, openWasm, openWebGpu } from "./runtime/device.web.ts";
export { runtimeFiles } from "./runtime/runtimeFiles.ts";
export type { SampleOptions, SampleRecipe } from "./sampleRecipe.ts";
export { NextxError } from "./tensor/errors.ts";
export { type MemoryTrainEvent, type MemoryTraining, trainInMemory } from "./trainInMemory.ts";
