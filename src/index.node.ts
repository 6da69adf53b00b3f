/** The public API: what the command line, the studio and your program use. */

export { type CompareOptions, type ComparisonReport, compare } from "./compare.node.ts";
export {
  ConvertFailure,
  type ConvertOptions,
  type ConvertReport,
  convert,
  recognise,
} from "./convert.node.ts";
export { composeContactSheet } from "./data/contactSheet.ts";
export { type DynamicsOptions, dynamics } from "./dynamics.node.ts";
export type { Difficulty, DynamicsReport, PastReport } from "./evaluate/dynamics/measure.ts";
export { renderDynamicsPage } from "./evaluate/dynamics/page.ts";
export type { PerScale } from "./evaluate/dynamics/scaleMeans.ts";
export { exportLoop, type LoopManifest } from "./exportLoop.node.ts";
export {
  type ForecastOptions,
  type ForecastResult,
  forecast,
  forecastMethods,
} from "./forecast.node.ts";
export { encodePng, type RgbImage, readPngRecipe } from "./formats/png.ts";
export { openTensors, type TensorFile } from "./formats/tensorFile.node.ts";
export { type LoadOptions, load } from "./load.node.ts";
export { type Model, systemOf } from "./model.ts";
export type { ModelCard } from "./modelCard.ts";
export { findModel, type ShippedModel, shippedModels } from "./models.node.ts";
export { parity } from "./parity.node.ts";
export {
  type QuantizedLayer,
  type QuantizeOptions,
  type QuantizeReport,
  quantiseKinds,
  quantize,
} from "./quantize.node.ts";
export type { EditRequest, ImageSystem, SampleEvent } from "./regimen/system.ts";
export type { TrainEvent } from "./regimen/trainRun.node.ts";
export { resolveRecipe } from "./resolveRecipe.ts";
export type { SampleOptions, SampleRecipe } from "./sampleRecipe.ts";
export { imageSystems } from "./systems/registry.ts";
export { NextxError } from "./tensor/errors.ts";
export { type TrainOptions, train } from "./train.node.ts";
