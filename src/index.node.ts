/** The public API: what the command line, the studio and your program use. */

export { type ArenaEvent, type ArenaKind, type ArenaOptions, arena, readArena } from "./arena.node.ts";
export { type ClaimOptions, checkClaim, claim, claimIds } from "./claim.node.ts";
export type { ArenaResult, ImageArena, SeriesArena } from "./claims/arena/result.ts";
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
export type { ClaimEvent } from "./evaluate/claim/runClaim.node.ts";
export type { Difficulty, DynamicsReport, PastReport } from "./evaluate/dynamics/measure.ts";
export { renderDynamicsPage } from "./evaluate/dynamics/page.ts";
export type { PerScale } from "./evaluate/dynamics/scaleMeans.ts";
export {
  type EvaluateOptions,
  type EvaluationReport,
  evaluate,
  type NoiseFloorReport,
  noiseFloor,
} from "./evaluate.node.ts";
export { exportLoop, type LoopManifest } from "./exportLoop.node.ts";
export {
  type ForecastOptions,
  type ForecastResult,
  forecast,
  forecastMethods,
} from "./forecast.node.ts";
export {
  forecastWithModel,
  type ModelForecast,
  type ModelForecastOptions,
} from "./forecastWithModel.node.ts";
export { encodePng, type RgbImage, readPngRecipe } from "./formats/png.ts";
export { openTensors, type TensorFile } from "./formats/tensorFile.node.ts";
export { type Inspected, inspect } from "./inspect.node.ts";
export { type LoadOptions, load } from "./load.node.ts";
export { type Model, systemOf } from "./model.ts";
export type { ModelCard } from "./modelCard.ts";
export { findModel, type ShippedModel, shippedModels } from "./models.node.ts";
export { parity } from "./parity.node.ts";
export { editSource } from "./picture.node.ts";
export { type Picture, type PictureOptions, type PictureRecipe, readPictureRecipe } from "./picture.ts";
export { reproducePicture, samplePicture } from "./pictureApi.node.ts";
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
export { type EvaluateSeriesOptions, evaluateSeries, type SeriesReport } from "./seriesProgramme.node.ts";
export { imageSystems, seriesSystems } from "./systems/registry.ts";
export { NextxError } from "./tensor/errors.ts";
export { type TrainOptions, train } from "./train.node.ts";
