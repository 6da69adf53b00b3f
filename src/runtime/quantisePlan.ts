/** Which layers of a model get weights of few bits, and what their weights become. */
import { NextxError } from "../tensor/errors.ts";
import { toInt4, toInt8 } from "../tensor/lowBits.ts";
import { byteRange, mostBias } from "../tensor/ops/quantised.ts";
import type { ObservedLayer } from "./observe.ts";
import { type ConvRanges, QuantisedValue, type WeightBits } from "./quantised.ts";
import type { Value } from "./values.ts";

/** Layers with fewer inputs or outputs stay: they cost nothing, and every rounding shows. */
export const narrowest = 32;

export interface QuantiseScheme {
  readonly kind: "int8" | "int4";
  /** Of int8. */
  readonly bits: WeightBits;
  /** Whether convolutions compute with calibrated bytes. */
  readonly convolutions: boolean;
  /** Starts of names of weights that stay. */
  readonly keep: readonly string[];
}

/** Why a layer stays as it is; undefined when it does not. */
export function whyKept(
  layer: ObservedLayer,
  { kind, convolutions, keep }: QuantiseScheme,
): string | undefined {
  const { name, shape, otherUses, input, output } = layer;
  if (keep.some((start) => name.startsWith(start))) return "asked for";
  if (otherUses) return "used otherwise too";
  if (Math.min(shape[0] ?? 0, shape[1] ?? 0) < narrowest) return `narrower than ${narrowest}`;
  if (layer.kind === "linear") return undefined;
  if (kind === "int4" || !convolutions) return "convolution";
  return input && output ? undefined : "never computed while calibrating";
}

/** @throws NextxError QUANTIZE_NOT_FINITE */
function rangesOf({ input, output }: ObservedLayer): ConvRanges | undefined {
  if (!input || !output) return undefined;
  if (![input.least, input.most, output.least, output.most].every(Number.isFinite)) {
    throw new NextxError(
      "QUANTIZE_NOT_FINITE",
      "What went through a convolution is infinite or not a number.",
      {
        hint: "Leave its weight as it is: --keep with the start of its name.",
      },
    );
  }
  return { input: byteRange(input.least, input.most), output: byteRange(output.least, output.most) };
}

/** The largest finite float32. */
const mostFloat = (2 - 2 ** -23) * 2 ** 127;

/** Scales of a calibrated convolution's channels below which int32 would not hold their biases. */
function leastScales(channels: number, biases: readonly Value[], { input }: ConvRanges): Float32Array {
  return Float32Array.from({ length: channels }, (_, channel) => {
    const sizes = biases.map(({ data }) => Math.abs(Number(data[channel])));
    return Math.min(mostFloat, Math.max(0, ...sizes) / (mostBias * input.scale));
  });
}

/** The weight of a layer in few bits; `biases` are those beside it. @throws NextxError QUANTIZE_NOT_FINITE */
export function quantised(
  layer: ObservedLayer,
  value: Value,
  { kind, bits }: QuantiseScheme,
  biases: readonly Value[] = [],
): QuantisedValue {
  const data = value.data as Float32Array; // a layer's weight
  if (kind === "int4") return new QuantisedValue(toInt4(data, value.shape));
  const ranges = layer.kind === "convolution" ? rangesOf(layer) : undefined;
  const least = ranges && leastScales(value.shape[0] ?? 0, biases, ranges);
  return new QuantisedValue(toInt8(data, value.shape, bits, least), ranges);
}

/** Root mean square difference over root mean square size. */
export function relativeDifference(rounded: Float32Array, data: Float32Array): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < data.length; i++) {
    difference += ((rounded[i] as number) - (data[i] as number)) ** 2; // as long as data
    size += (data[i] as number) ** 2;
  }
  return size === 0 ? 0 : Math.sqrt(difference / size);
}
