/**
 * NumPy's .npy: one array with a header that is a Python literal. Read by a fixed grammar; objects (pickles), structured
 * dtypes, Fortran order and big-endian data are refused.
 * Source: numpy/lib/format.py, versions 1.0 to 3.0.
 */
import { NextxError } from "../tensor/errors.ts";
import {
  checkedElementCount,
  type DType,
  dtypeBytes,
  type HostTensor,
  tensorBytes,
  viewTensor,
} from "./hostTensor.ts";
import type { TensorForm } from "./tensorFile.ts";

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
const maxHeaderBytes = 65536;
const descriptions: readonly (readonly [string, DType])[] = [
  ["<f8", "F64"],
  ["<f4", "F32"],
  ["<f2", "F16"],
  ["<i8", "I64"],
  ["<i4", "I32"],
  ["<i2", "I16"],
  ["|i1", "I8"],
  ["<u8", "U64"],
  ["<u4", "U32"],
  ["<u2", "U16"],
  ["|u1", "U8"],
  ["|b1", "BOOL"],
];

function refuse(code: string, message: string, hint: string): NextxError {
  return new NextxError(`NPY_${code}`, message, { hint });
}

const damaged = "The file is damaged; save it again with numpy.save.";

/** NumPy's own limit. */
const maxRank = 64;

/** Bytes that hold any header that is read. */
export const npyStartBytes: number = 12 + maxHeaderBytes;

/**
 * An array's form and where its data start, from a file's first bytes (`npyStartBytes` of them or all).
 * @throws NextxError NPY_BAD_MAGIC, NPY_BAD_VERSION, NPY_TRUNCATED, NPY_BAD_HEADER, NPY_OBJECTS, NPY_UNSUPPORTED_DTYPE,
 * NPY_BIG_ENDIAN, NPY_FORTRAN_ORDER, NPY_BAD_SHAPE, NPY_SIZE_MISMATCH
 */
export function parseNpyStart(
  bytes: Uint8Array,
  fileBytes: number,
): TensorForm & { readonly dataAt: number } {
  if (!magic.every((byte, i) => bytes[i] === byte)) {
    throw refuse("BAD_MAGIC", "This is no .npy file.", "Save arrays with numpy.save.");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [version, minor] = [bytes[6], bytes[7]];
  if (version === undefined || version < 1 || version > 3 || minor !== 0) {
    throw refuse("BAD_VERSION", `Version ${version}.${minor} of .npy is not read.`, damaged);
  }
  const start = version === 1 ? 10 : 12;
  if (bytes.length < start) throw refuse("TRUNCATED", "The file ends inside its header.", damaged);
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > maxHeaderBytes) throw refuse("BAD_HEADER", `A header of ${length} bytes.`, damaged);
  if (start + length > bytes.length) throw refuse("TRUNCATED", "The file ends inside its header.", damaged);
  const { dtype, shape } = parseHeader(new TextDecoder().decode(bytes.subarray(start, start + length)));
  const count = checkedElementCount(shape);
  if (count === undefined)
    throw refuse("BAD_SHAPE", `The shape (${shape.join(", ")}) is too large.`, damaged);
  const [expected, got] = [count * dtypeBytes(dtype), fileBytes - start - length];
  if (got !== expected)
    throw refuse("SIZE_MISMATCH", `Expected ${expected} bytes of data, got ${got}.`, damaged);
  return { dtype, shape, dataAt: start + length };
}

/**
 * Reads an array; shares memory with `bytes` where aligned.
 * @throws NextxError the codes of parseNpyStart
 */
export function readNpy(bytes: Uint8Array): HostTensor {
  const { dtype, shape, dataAt } = parseNpyStart(bytes, bytes.length);
  return viewTensor(dtype, shape, bytes.subarray(dataAt));
}

const grammar =
  /^\{'descr': ('[^'\\]{1,16}'|\[.*\]), 'fortran_order': (True|False), 'shape': \(((?:\d{1,16}(?:, \d{1,16})*,?)?)\),? ?\} *\n?$/;

function parseHeader(text: string): { dtype: DType; shape: number[] } {
  const [, description, fortran, sides] = grammar.exec(text) ?? [];
  if (description === undefined || sides === undefined) {
    throw refuse("BAD_HEADER", "The header is not one that numpy.save writes.", damaged);
  }
  const descr = description.slice(1, -1);
  if (/^\|?O/.test(descr)) throw refuse("OBJECTS", "The array holds Python objects.", "Save plain numbers.");
  if (descr.startsWith(">")) {
    throw refuse(
      "BIG_ENDIAN",
      "The array is big-endian.",
      "In NumPy: array.astype(array.dtype.newbyteorder('<')).",
    );
  }
  const dtype = descriptions.find(([name]) => name === descr)?.[1];
  if (dtype === undefined) {
    throw refuse(
      "UNSUPPORTED_DTYPE",
      `The dtype ${descr.slice(0, 40)} is not read.`,
      "Save floats, integers or booleans.",
    );
  }
  const shape = sides
    .split(",")
    .filter((side) => side.trim() !== "")
    .map(Number);
  if (fortran === "True" && shape.length > 1) {
    throw refuse(
      "FORTRAN_ORDER",
      "The array is in Fortran order.",
      "In NumPy: numpy.ascontiguousarray(array).",
    );
  }
  if (shape.length > maxRank)
    throw refuse(
      "BAD_SHAPE",
      `The array has ${shape.length} axes, more than ${maxRank}.`,
      "Reshape it first.",
    );
  return { dtype, shape };
}

/**
 * An array's .npy bytes, version 1.0, data aligned to 64 bytes.
 * @throws NextxError NPY_UNSUPPORTED_DTYPE for BF16, NPY_BAD_SHAPE
 */
export function writeNpy(tensor: HostTensor): Uint8Array {
  const descr = descriptions.find(([, dtype]) => dtype === tensor.dtype)?.[0];
  if (descr === undefined) {
    throw refuse("UNSUPPORTED_DTYPE", `NumPy has no ${tensor.dtype}.`, "Convert it to F32 first.");
  }
  const { shape } = tensor;
  if (checkedElementCount(shape) !== tensor.data.length || shape.length > 64) {
    throw refuse(
      "BAD_SHAPE",
      `[${shape.slice(0, 64).join(", ")}] does not fit the data.`,
      "NumPy has at most 64 axes.",
    );
  }
  const sides = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${sides}), }`;
  const start = Math.ceil((10 + text.length + 1) / 64) * 64;
  const data = tensorBytes(tensor);
  const bytes = new Uint8Array(start + data.length).fill(0x20, 10, start);
  bytes.set([...magic, 1, 0]);
  new DataView(bytes.buffer).setUint16(8, start - 10, true);
  bytes.set(new TextEncoder().encode(text), 10);
  bytes[start - 1] = 0x0a;
  bytes.set(data, start);
  return bytes;
}
