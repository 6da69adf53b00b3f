/**
 * A model in fewer bits, as a file that opens like any other. Which layers there are is seen while the float model makes a
 * few pictures; the error of each is measured on what went through it then.
 */
import { openImageSet } from "./data/imageSets.node.ts";
import { drawMany } from "./drawMany.ts";
import { drawPictures } from "./evaluate/evaluatePictures.ts";
import { float16BitsToFloat32, float32ToFloat16Bits, isFloat } from "./formats/hostTensor.ts";
import type { Quantisation } from "./formats/modelFile.ts";
import { suggestion } from "./formats/suggest.ts";
import { dataOf } from "./heldOut.node.ts";
import { openModel } from "./model.ts";
import type { FoundModel } from "./modelCard.ts";
import { findModel, findModelPlace, type ModelPlace } from "./models.node.ts";
import { writeQuantized } from "./quantizedFile.node.ts";
import { type DeviceOptions, openDevice } from "./runtime/device.node.ts";
import type { Device } from "./runtime/device.ts";
import { LayerObserver, type ObservedLayer, relativeError } from "./runtime/observe.ts";
import { machineWeightBits } from "./runtime/processor.node.ts";
import { type Layer, type QuantisedValue, quantisedLayer, type WeightBits } from "./runtime/quantised.ts";
import { type QuantiseScheme, quantised, relativeDifference, whyKept } from "./runtime/quantisePlan.ts";
import type { Value } from "./runtime/values.ts";
import { NextxError } from "./tensor/errors.ts";
import { apply, constant } from "./tensor/tensor.ts";

/** What a model can become. */
export const quantiseKinds = ["int8", "int4", "f16"] as const;
export type QuantiseKind = (typeof quantiseKinds)[number];

/** What `quantize` may be told. */
export interface QuantizeOptions extends Omit<DeviceOptions, "device"> {
  readonly to: string;
  /** `calibrated`: convolutions compute with bytes, in ranges seen while calibrating; `float` when absent. */
  readonly convolutions?: "float" | "calibrated";
  /** Pictures that calibrate and measure: drawn by the model, or of its own data set as well. `model` when absent. */
  readonly calibration?: "model" | "data";
  /** How many; 8 when absent. */
  readonly count?: number;
  /** Seed of the model's pictures; 0 when absent. */
  readonly seed?: number;
  /** Bits of int8 weights: 7 for processors without VNNI. What this machine needs when absent. */
  readonly bits?: WeightBits;
  /** Starts of names of weights that stay as they are. */
  readonly keep?: readonly string[];
  /** Data set; that of the model's card or run when absent. */
  readonly set?: string;
  readonly dataRoot?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (text: string) => void;
}

/** A layer that computes over weights of few bits. */
export interface QuantizedLayer {
  readonly name: string;
  readonly kind: Layer["kind"];
  readonly shape: readonly number[];
  /** Relative root mean square error of its outputs against float32, over the pictures. */
  readonly error: number;
  /** The same of its weights. */
  readonly weightError: number;
}

/** What was quantised, how far outputs moved, and what the file takes. */
export interface QuantizeReport {
  readonly to: QuantiseKind;
  readonly bits: number;
  readonly pictures: number;
  readonly calibration: "model" | "data";
  readonly layers: readonly QuantizedLayer[];
  /** Layers that compute as before. */
  readonly kept: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly why: string;
  }[];
  readonly sourceBytes: number;
  readonly sizeBytes: number;
}

function kindOf(to: string): QuantiseKind {
  const kind = quantiseKinds.find((name) => name === to);
  if (kind) return kind;
  throw new NextxError("QUANTIZE_UNKNOWN_KIND", `There is no kind "${to}".`, {
    path: "to",
    hint: suggestion(to, quantiseKinds),
  });
}

/** What is left to do for a model's file. @throws NextxError QUANTIZE_ALREADY, QUANTIZE_NOTHING */
function requireWork(place: ModelPlace, kind: QuantiseKind): void {
  if (place.quantisation) {
    throw new NextxError(
      "QUANTIZE_ALREADY",
      `${place.name} is quantised to ${place.quantisation.kind} already.`,
      {
        path: place.path,
        hint: "Quantise the original again.",
      },
    );
  }
  const wide = [...place.tensors.values()].some(({ dtype }) => isFloat(dtype) && dtype !== "F16");
  if (kind === "f16" && !wide) throw nothing(`All numbers of ${place.name} have 16 bits already.`);
}

const nothing = (message: string): NextxError =>
  new NextxError("QUANTIZE_NOTHING", message, { hint: "nextx inspect MODEL --tensors shows what it holds." });

/**
 * Writes a model in fewer bits. The report has every layer's error against float32.
 * @throws NextxError QUANTIZE_UNKNOWN_KIND, QUANTIZE_ALREADY, QUANTIZE_NOTHING, QUANTIZE_NOT_FINITE, TENSOR_FLOAT_RANGE,
 * EVALUATE_NO_DATA, the codes of `load`, of sampling and of writing files, ABORTED
 */
export async function quantize(name: string, out: string, options: QuantizeOptions): Promise<QuantizeReport> {
  const kind = kindOf(options.to);
  const place = await findModelPlace(name);
  requireWork(place, kind);
  const found = await findModel(name);
  const device = await openDevice(options);
  const { count = 8, calibration = "model", onProgress } = options;
  const work: Work = { found, device, options: { ...options, count, calibration } };
  const bits = kind === "f16" ? 16 : kind === "int4" ? 4 : (options.bits ?? machineWeightBits());
  const scheme: QuantiseScheme | undefined =
    kind === "f16"
      ? undefined
      : {
          kind,
          bits: bits === 7 ? 7 : 8,
          convolutions: options.convolutions === "calibrated",
          keep: options.keep ?? [],
        };
  const { chosen, layers, kept } = scheme ? await fewBits(work, scheme) : await halves(work);
  onProgress?.(`writing ${out}`);
  const convolutions = layers.filter((layer) => layer.kind === "convolution").length;
  const quantisation: Quantisation | undefined =
    kind === "f16" ? undefined : { kind, bits, layers: layers.length, convolutions, of: found.sha256 };
  const sizeBytes = await writeQuantized(place, out, chosen, quantisation);
  const report = { to: kind, bits, pictures: count, calibration, layers, kept };
  return { ...report, sourceBytes: place.sizeBytes, sizeBytes };
}

interface Work {
  readonly found: FoundModel;
  readonly device: Device;
  readonly options: QuantizeOptions & { readonly count: number; readonly calibration: "model" | "data" };
}

/** Pixels of a part: each layer computes twice, and a decoder at 256 px needs more than 1 GB a picture for that. */
const pixelsAtOnce = 2 ** 16;

/** Makes the pictures on a watched device. */
async function exercise({ found, device, options }: Work, observer: LayerObserver): Promise<void> {
  const { count, seed = 0, calibration, dataRoot, signal } = options;
  using model = await openModel(found, observer.watch(device));
  const watched = signal ? { signal } : {};
  const partSize = Math.max(1, Math.floor(pixelsAtOnce / model.imageSize ** 2));
  const labels = Int32Array.from({ length: count }, (_, i) => i % model.classNames.length);
  let { pixels } = await drawMany(model, { labels, seed, partSize, ...watched });
  if (!model.canReconstruct) return;
  if (calibration === "data") {
    const id = options.set ?? (await dataOf(model));
    const root = dataRoot === undefined ? {} : { dataRoot };
    const set = await openImageSet(id, { size: model.imageSize, split: "train", ...root });
    pixels = Uint8Array.from(drawPictures(set, count).pixels);
  }
  const partBytes = pixels.length / count;
  for (let first = 0; first < count; first += partSize)
    await model.reconstruct(pixels.subarray(first * partBytes, (first + partSize) * partBytes), signal);
}

interface Chosen {
  readonly chosen: ReadonlyMap<string, QuantisedValue>;
  readonly layers: readonly QuantizedLayer[];
  readonly kept: QuantizeReport["kept"];
}

async function fewBits(work: Work, scheme: QuantiseScheme): Promise<Chosen> {
  const { found, device, options } = work;
  options.onProgress?.("looking at the layers");
  const first = new LayerObserver({ ranges: scheme.convolutions });
  await exercise(work, first);
  const weightOf = (name: string) => found.weights.get(name) as Value; // observed
  const biasesOf = ({ biases }: ObservedLayer) =>
    [...biases].flatMap((name) => found.weights.get(name) ?? []);
  const chosen = new Map<string, QuantisedValue>();
  const kept: { name: string; shape: readonly number[]; why: string }[] = [];
  for (const [name, layer] of first.layers) {
    const why = whyKept(layer, scheme);
    if (why === undefined)
      chosen.set(
        name,
        named(name, () => quantised(layer, weightOf(name), scheme, biasesOf(layer))),
      );
    else kept.push({ name, shape: layer.shape, why });
  }
  if (chosen.size === 0) throw nothing(`${found.name} has no layer that could be quantised.`);
  options.onProgress?.(`measuring ${chosen.size} layers`);
  const second = new LayerObserver({
    otherForm: (layer) => {
      const value = chosen.get(layer.name);
      return value && quantisedLayer(layer, value, device.weightBits ?? 8);
    },
  });
  await exercise(work, second);
  const layers = [...chosen].map(
    ([name, value]) => reported(second.layers.get(name) as ObservedLayer, value.data, weightOf(name)), // the same programs
  );
  return { chosen, layers, kept };
}

/** Says in an error which weight it is about. */
function named<T>(name: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (!(cause instanceof NextxError)) throw cause;
    const { code, message, hint } = cause;
    throw new NextxError(code, message, { path: name, ...(hint !== undefined && { hint }), cause });
  }
}

/** All weights rounded to float16, none in few bits. */
async function halves(work: Work): Promise<Chosen> {
  const half = (value: Value) => float16BitsToFloat32(float32ToFloat16Bits(value.data as Float32Array)); // a layer's
  const { weights } = work.found;
  const observer = new LayerObserver({
    otherForm: ({ node, name }) => {
      const value = weights.get(name);
      if (value === undefined) return undefined;
      const inputs = node.inputs.map((x, i) => (i === 1 ? constant(half(value), value.shape) : x));
      return apply(node.op, inputs, node.attrs);
    },
  });
  work.options.onProgress?.("measuring the layers");
  await exercise(work, observer);
  const layers = [...observer.layers].map(([name, layer]) => {
    const value = weights.get(name) as Value; // observed
    return reported(layer, half(value), value);
  });
  return { chosen: new Map(), layers, kept: [] };
}

function reported(layer: ObservedLayer, rounded: Float32Array, value: Value): QuantizedLayer {
  const { name, kind, shape } = layer;
  const data = value.data as Float32Array; // a layer's weight
  return { name, kind, shape, error: relativeError(layer), weightError: relativeDifference(rounded, data) };
}
