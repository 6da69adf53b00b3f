/**
 * Lowerings for what a provider has no kernel for, out of kernels that it has. WebGPU knows bool in comparisons, logic and
 * casts only, and few ops on int32.
 */
import type { DType, Emitter } from "../tensor.ts";

const FLOAT32 = 1;
const INT32 = 6;
const BOOL = 9;

/** Applies `body` to operands of a dtype; bool operands as int32 where `provider` moves no bool, the result cast back. */
export function movable(
  emit: Emitter,
  dtype: DType,
  inputs: readonly string[],
  body: (inputs: readonly string[]) => string,
): string {
  return dtype === "bool" && emit.provider === "webgpu" ? asInt32(emit, inputs, body) : body(inputs);
}

/** Applies `body` to int32 copies of bool operands; its int32 result becomes bool. */
export function asInt32(
  emit: Emitter,
  inputs: readonly string[],
  body: (inputs: readonly string[]) => string,
): string {
  const integers = inputs.map((x) => emit.node("Cast", [x], { to: INT32 }));
  return emit.node("Cast", [body(integers)], { to: BOOL });
}

const zero = (emit: Emitter, dtype: DType): string => number(emit, dtype, 0);

function number(emit: Emitter, dtype: DType, value: number): string {
  return dtype === "int32" ? emit.int32s(Int32Array.of(value), []) : emit.float(value);
}

/** -x of int32. */
export const negated = (emit: Emitter, x: string): string => emit.node("Sub", [zero(emit, "int32"), x]);

/** |x| of int32; the smallest number stays itself, as everywhere. */
export const absolute = (emit: Emitter, x: string): string => emit.node("Max", [x, negated(emit, x)]);

/** -1, 1, or x itself where it is neither below nor above 0: zeros keep their sign, NaN stays NaN. */
export function signOf(emit: Emitter, dtype: DType, x: string): string {
  const none = zero(emit, dtype);
  const [one, minusOne] = [number(emit, dtype, 1), number(emit, dtype, -1)];
  const notAbove = emit.node("Where", [emit.node("Less", [x, none]), minusOne, x]);
  return emit.node("Where", [emit.node("Less", [none, x]), one, notAbove]);
}

/** x [..., width] at ids [..., 1] of int32 -> [...]: the sum of a row in which all but one entry are 0. */
export function pickedBySum(emit: Emitter, x: string, ids: string, width: number): string {
  const isPicked = emit.node("Equal", [ids, range(emit, width)]);
  const row = emit.node("Where", [isPicked, x, zero(emit, "int32")]);
  return emit.node("ReduceSum", [row, emit.int64([-1])], { keepdims: 0 });
}

/** First place of the largest entry of x [..., width] -> int32 [...]. */
export function argmax(emit: Emitter, x: string, width: number): string {
  const last = emit.int64([-1]);
  const isLargest = emit.node("Equal", [x, emit.node("ReduceMax", [x, last], { keepdims: 1 })]);
  const places = emit.node("Cast", [range(emit, width)], { to: FLOAT32 }); // exact below 2^24
  const candidates = emit.node("Where", [isLargest, places, emit.float(width)]);
  return emit.node("Cast", [emit.node("ReduceMin", [candidates, last], { keepdims: 0 })], { to: INT32 });
}

function range(emit: Emitter, length: number): string {
  return emit.int32s(
    Int32Array.from({ length }, (_, i) => i),
    [length],
  );
}

/** Elements start .. end - 1 of an axis, by their numbers. */
export function picked(emit: Emitter, x: string, axis: number, start: number, end: number): string {
  const places = Int32Array.from({ length: end - start }, (_, i) => start + i);
  return emit.node("Gather", [x, emit.int32s(places, [places.length])], { axis });
}
