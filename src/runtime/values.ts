/** Values that enter and leave programs: typed arrays with a shape, in host memory, or what stayed on a GPU. */
import { NextxError } from "../tensor/errors.ts";
import type { Data, DType } from "../tensor/tensor.ts";

/** float32, int32, or bool (one byte, 0 or 1), row-major. */
export interface Value {
  readonly data: Data;
  readonly shape: readonly number[];
}

/** A float32 value that also lies in a file, exactly or in 16 bits: `data` reads it each time it is asked for. */
export interface FileBacked extends Value {
  readonly source: FileRange;
  /** What reads the file itself asks this first: errors when it is not the file that was opened. */
  requireSame(): void;
}

/** How numbers lie in a file, little-endian, and what one takes there. */
export const storedBytes = { float32: 4, float16: 2, bfloat16: 2 } as const;
export type StoredType = keyof typeof storedBytes;

/** Numbers in a file. */
export interface FileRange {
  readonly stored: StoredType;
  /** Without links. */
  readonly folder: string;
  readonly name: string;
  readonly offset: number;
  readonly sizeBytes: number;
}

export const isFileBacked = (value: Value): value is FileBacked => "source" in value;

/**
 * What a program left on its device (`CompileOptions.kept`): programs of that device take it, and nothing else can read it.
 * Dispose it when no run takes it any more.
 */
export class DeviceValue implements Value, Disposable {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The runtime's own tensor. */
  readonly handle: unknown;
  readonly #free: () => void;

  constructor(dtype: DType, shape: readonly number[], handle: unknown, free: () => void) {
    this.dtype = dtype;
    this.shape = shape;
    this.handle = handle;
    this.#free = free;
  }

  /** @throws NextxError VALUE_ON_DEVICE */
  get data(): Data {
    throw new NextxError("VALUE_ON_DEVICE", "This value lies on its device; it cannot be read.");
  }

  [Symbol.dispose](): void {
    this.#free();
  }
}

/**
 * Frees values that nothing uses any more: what lies on a device, and the memory of arrays, which are empty then. Collecting
 * would free arrays too, but waits until the largest caches stand beside each other twice.
 */
export function freeValues(values: Iterable<Value>): void {
  for (const value of values) {
    if (value instanceof DeviceValue) value[Symbol.dispose]();
    else freeArray(value.data);
  }
}

let closedPort: MessagePort | undefined;

/** What is handed to a closed port goes nowhere: for runtimes without `transfer`. */
function portToNowhere(): MessagePort {
  const { port1, port2 } = new MessageChannel();
  for (const port of [port1, port2]) port.close();
  return port1;
}

function freeBuffer(buffer: ArrayBuffer & { transfer?(size: number): ArrayBuffer }): void {
  if (buffer.transfer) {
    buffer.transfer(0);
    return;
  }
  closedPort ??= portToNowhere();
  closedPort.postMessage(null, [buffer]);
}

/** Smaller arrays are left to be collected. */
const smallestFreed = 2 ** 16;

function freeArray({ buffer, byteLength }: Data): void {
  const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === byteLength;
  if (isWhole && byteLength >= smallestFreed) freeBuffer(buffer);
}

/** The dtype that an array holds; undefined for arrays that no value has. */
export function dataType(data: unknown): DType | undefined {
  if (data instanceof Float32Array) return "float32";
  if (data instanceof Int32Array) return "int32";
  return data instanceof Uint8Array ? "bool" : undefined;
}

/** The dtype of a value. @throws NextxError VALUE_BAD_TYPE for other arrays */
export function valueType(value: Value): DType {
  const dtype = value instanceof DeviceValue ? value.dtype : dataType(value.data);
  if (dtype !== undefined) return dtype;
  throw new NextxError(
    "VALUE_BAD_TYPE",
    "A value holds a Float32Array, an Int32Array or a Uint8Array (bool).",
  );
}

export const floats = (data: Float32Array | readonly number[], shape: readonly number[]): Value => ({
  data: data instanceof Float32Array ? data : Float32Array.from(data),
  shape,
});

export const ints = (data: Int32Array | readonly number[], shape: readonly number[]): Value => ({
  data: data instanceof Int32Array ? data : Int32Array.from(data),
  shape,
});

export const bools = (data: Uint8Array | readonly boolean[], shape: readonly number[]): Value => ({
  data: data instanceof Uint8Array ? data : Uint8Array.from(data, (flag) => (flag ? 1 : 0)),
  shape,
});

/** Empty data of a type. */
export function allocate(dtype: DType, length: number): Data {
  if (dtype === "float32") return new Float32Array(length);
  return dtype === "int32" ? new Int32Array(length) : new Uint8Array(length);
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}
