/**
 * The safetensors format: a JSON header, then the tensors' bytes without holes. A file is read only when every byte is
 * accounted for; the rules and their order are those of the reference reader, plus refusals that are stricter: duplicate
 * names, unknown keys, numbers not spelled as integers, null as metadata, more than 100,000 tensors, more than 64 axes.
 * Source: https://github.com/huggingface/safetensors, safetensors/src/tensor.rs.
 */
import { NextxError } from "../tensor/errors.ts";
import {
  checkedElementCount,
  convertFloats,
  type DType,
  dtypeBytes,
  dtypes,
  type HostTensor,
  hostTensor,
  isDType,
  tensorBytes,
  viewTensor,
} from "./hostTensor.ts";
import { isJsonObject, jsonInteger, parseStrictJson, type StrictJson } from "./strictJson.ts";
import type { TensorForm } from "./tensorFile.ts";

/** What the header says about one tensor. */
export interface TensorInfo {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** First byte in the file and number of bytes. */
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface SafetensorsHeader {
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
}

const lengthBytes = 8;
export const maxHeaderBytes = 100_000_000;
export const maxTensors = 100_000;
/** PyTorch's own limit of most operations. */
const maxRank = 64;
/** JSON values of a header for each tensor there may be: an entry takes six, and one for each axis. */
const valuesPerTensor = 16;
const metadataKey = "__metadata__";

function refuse(code: string, message: string, path: string | undefined, cause?: unknown): NextxError {
  return new NextxError(`SAFETENSORS_${code}`, message, {
    ...(path === undefined ? {} : { path }),
    hint: "The file is damaged or was not written as safetensors; get a fresh copy.",
    cause,
  });
}

/**
 * The header's length in bytes, from the first 8 bytes of a file.
 * @throws NextxError SAFETENSORS_HEADER_TOO_SMALL, SAFETENSORS_HEADER_TOO_LARGE, SAFETENSORS_HEADER_PAST_END
 */
export function parseHeaderLength(start: Uint8Array, fileBytes: number, path?: string): number {
  if (fileBytes < lengthBytes || start.length < lengthBytes) {
    throw refuse("HEADER_TOO_SMALL", `Expected at least 8 bytes, got ${fileBytes}.`, path);
  }
  const length = new DataView(start.buffer, start.byteOffset, lengthBytes).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    throw refuse("HEADER_TOO_LARGE", `The header claims ${length} bytes; 100,000,000 are allowed.`, path);
  }
  if (lengthBytes + Number(length) > fileBytes) {
    throw refuse(
      "HEADER_PAST_END",
      `The header claims ${length} bytes, but the file has ${fileBytes} in all.`,
      path,
    );
  }
  return Number(length);
}

/**
 * Checks a header (without its 8 length bytes) against the file's length.
 * @throws NextxError with these codes, in the order of the rules: SAFETENSORS_HEADER_NOT_UTF8, SAFETENSORS_HEADER_BAD_JSON,
 * SAFETENSORS_DUPLICATE_NAME, SAFETENSORS_TOO_MANY_TENSORS, SAFETENSORS_BAD_METADATA, SAFETENSORS_BAD_ENTRY,
 * SAFETENSORS_UNSUPPORTED_DTYPE; per tensor SAFETENSORS_BAD_OFFSETS, SAFETENSORS_SHAPE_OVERFLOW,
 * SAFETENSORS_SIZE_MISMATCH; then SAFETENSORS_TRUNCATED or SAFETENSORS_TRAILING_BYTES
 */
export function parseHeader(header: Uint8Array, fileBytes: number, path?: string): SafetensorsHeader {
  const root = parseJson(header, path);
  const entries: [string, Entry][] = [];
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const [name, value] of root) {
    if (name === metadataKey) metadata = parseMetadata(value, path);
    else entries.push([name, parseEntry(value, name)]);
  }
  if (entries.length > maxTensors) throw tooMany(path);
  entries.sort(([, a], [, b]) => a.start - b.start || a.end - b.end);
  const dataStart = lengthBytes + header.length;
  const tensors = new Map<string, TensorInfo>();
  let position = 0;
  for (const [name, { dtype, shape, start, end }] of entries) {
    if (start !== position || end < start) {
      throw refuse(
        "BAD_OFFSETS",
        `Tensor at bytes ${start} to ${end}, expected to start at ${position}: no holes, no overlaps.`,
        name,
      );
    }
    position = end;
    const count = checkedElementCount(shape);
    const sizeBytes = (count ?? Number.NaN) * dtypeBytes(dtype);
    if (!Number.isSafeInteger(sizeBytes)) {
      throw refuse("SHAPE_OVERFLOW", `The shape [${shape.slice(0, 16).join(", ")}] is too large.`, name);
    }
    if (end - start !== sizeBytes) {
      throw refuse(
        "SIZE_MISMATCH",
        `${dtype} [${shape.slice(0, 16).join(", ")}] takes ${sizeBytes} bytes, the header gives it ${end - start}.`,
        name,
      );
    }
    tensors.set(name, { dtype, shape, offset: dataStart + start, sizeBytes });
  }
  if (dataStart + position > fileBytes) {
    throw refuse("TRUNCATED", `Expected ${dataStart + position} bytes, got ${fileBytes}.`, path);
  }
  if (dataStart + position < fileBytes) {
    const extra = fileBytes - dataStart - position;
    throw refuse("TRAILING_BYTES", `${extra} bytes after the last tensor belong to nothing.`, path);
  }
  return { tensors, metadata };
}

function tooMany(path: string | undefined): NextxError {
  return refuse("TOO_MANY_TENSORS", "More than 100,000 tensors, or as many numbers as those take.", path);
}

function parseJson(header: Uint8Array, path: string | undefined): ReadonlyMap<string, StrictJson> {
  let json: StrictJson;
  try {
    // Deeper than 4 is nothing that could pass; one member more for the metadata.
    const maxValues = valuesPerTensor * maxTensors;
    json = parseStrictJson(header, {
      ...{ maxDepth: 16, maxMembers: maxTensors + 1, maxValues, maxItems: maxRank },
    });
  } catch (error) {
    if (!(error instanceof NextxError)) throw error;
    if (error.code === "JSON_TOO_LARGE") throw tooMany(path);
    if (error.code === "JSON_LONG_ARRAY") {
      throw refuse("BAD_ENTRY", `The header's entry of a tensor has more than ${maxRank} axes.`, path, error);
    }
    if (error.code === "JSON_NOT_UTF8") throw refuse("HEADER_NOT_UTF8", error.message, path, error);
    if (error.code === "JSON_DUPLICATE_KEY") throw refuse("DUPLICATE_NAME", error.message, path, error);
    throw refuse("HEADER_BAD_JSON", error.message, path, error);
  }
  if (!isJsonObject(json)) throw refuse("HEADER_BAD_JSON", "The header is not a JSON object.", path);
  return json;
}

function parseMetadata(value: StrictJson, path: string | undefined): ReadonlyMap<string, string> {
  if (!isJsonObject(value)) throw refuse("BAD_METADATA", "The metadata are not a JSON object.", path);
  const metadata = new Map<string, string>();
  for (const [key, text] of value) {
    if (typeof text !== "string") {
      throw refuse("BAD_METADATA", `The metadata "${key.slice(0, 100)}" are not a string.`, path);
    }
    metadata.set(key, text);
  }
  return metadata;
}

interface Entry {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

function parseEntry(value: StrictJson, name: string): Entry {
  const bad = (what: string) => refuse("BAD_ENTRY", `The header's entry of the tensor ${what}.`, name);
  if (!isJsonObject(value)) throw bad("is not an object");
  const dtype = value.get("dtype");
  const shape = integers(value.get("shape"));
  const [start, end, ...more] = integers(value.get("data_offsets")) ?? [];
  if (value.size !== 3) throw bad("has not exactly the keys dtype, shape and data_offsets");
  if (typeof dtype !== "string") throw bad("has no dtype");
  if (shape === undefined) throw bad("has a shape that is not a list of integers from 0 to 2^53 - 1");
  if (start === undefined || end === undefined || more.length > 0) {
    throw bad("has data_offsets that are not two integers from 0 to 2^53 - 1");
  }
  if (!isDType(dtype)) {
    throw new NextxError("SAFETENSORS_UNSUPPORTED_DTYPE", `The dtype "${dtype.slice(0, 20)}" is not read.`, {
      path: name,
      hint: `Known: ${dtypes.join(", ")}.`,
    });
  }
  return { dtype, shape, start, end };
}

function integers(value: StrictJson | undefined): readonly number[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const numbers = value.map((item: StrictJson) => jsonInteger(item) ?? -1);
  return numbers.every((number) => number >= 0) ? numbers : undefined;
}

/** What a file holds. */
export interface SafetensorsContent {
  readonly tensors: Map<string, HostTensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads a whole file. Tensors share memory with `bytes` where their offsets are aligned.
 * @param path name of the file, for errors
 * @throws NextxError the codes of parseHeaderLength and parseHeader
 */
export function readSafetensors(bytes: Uint8Array, path?: string): SafetensorsContent {
  const length = parseHeaderLength(bytes, bytes.length, path);
  const header = parseHeader(bytes.subarray(lengthBytes, lengthBytes + length), bytes.length, path);
  const tensors = new Map<string, HostTensor>();
  for (const [name, { dtype, shape, offset, sizeBytes }] of header.tensors) {
    tensors.set(name, viewTensor(dtype, shape, bytes.subarray(offset, offset + sizeBytes)));
  }
  return { tensors, metadata: header.metadata };
}

/** Metadata to write: a Map or an object with string values. */
export type MetadataInput = ReadonlyMap<string, string> | Readonly<Record<string, string>>;

export interface WriteSafetensorsOptions {
  /** How floating tensors are stored; as they are when absent. Integers and booleans stay. */
  readonly dtype?: "F32" | "F16" | "BF16";
}

/** How a file will be laid out: what its header says and in which order the tensors' bytes follow. */
export interface SafetensorsLayout {
  /** Length and header. */
  readonly header: Uint8Array;
  readonly order: readonly string[];
  /** Of the whole file. */
  readonly sizeBytes: number;
}

/**
 * The layout of a file from the forms of its tensors alone, for files larger than memory. The same content gives the same
 * bytes: the header lists names in code-unit order, the data lie by element size (largest first) and name, so that every
 * tensor is aligned and can be read without a copy.
 * @throws NextxError SAFETENSORS_BAD_NAME, SAFETENSORS_BAD_METADATA, SAFETENSORS_TOO_MANY_TENSORS,
 * SAFETENSORS_HEADER_TOO_LARGE, TENSOR_BAD_SHAPE (path: the tensor)
 */
export function layOutSafetensors(
  tensors: ReadonlyMap<string, TensorForm>,
  metadata: MetadataInput = {},
): SafetensorsLayout {
  if (tensors.size > maxTensors) throw tooMany(undefined);
  const names = [...tensors.keys()].sort();
  const formOf = (name: string) => tensors.get(name) as TensorForm; // names are its keys
  const order = [...names].sort((a, b) => dtypeBytes(formOf(b).dtype) - dtypeBytes(formOf(a).dtype)); // stable
  const offsets = new Map<string, [number, number]>();
  let end = 0;
  for (const name of order) {
    requireName(name);
    const { dtype, shape } = formOf(name);
    const start = end;
    end += (checkedElementCount(shape) ?? Number.NaN) * dtypeBytes(dtype);
    if (!Number.isSafeInteger(end) || shape.length > maxRank) {
      throw new NextxError("TENSOR_BAD_SHAPE", `[${shape.join(", ")}] is no shape.`, { path: name });
    }
    offsets.set(name, [start, end]);
  }
  const entries = names.map((name) => {
    const { dtype, shape } = formOf(name);
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: offsets.get(name) })}`;
  });
  const header = encodeHeader([...metadataEntry(metadata), ...entries]);
  return { header, order, sizeBytes: header.length + end };
}

/**
 * A file's bytes in pieces: length and header, then the tensors one by one; for files too large for one array.
 * @throws NextxError the codes of layOutSafetensors; TENSOR_SIZE_MISMATCH, TENSOR_BAD_SHAPE, TENSOR_BAD_DATA,
 * TENSOR_FLOAT_RANGE (path: the tensor)
 */
export function* safetensorsParts(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: MetadataInput = {},
  options: WriteSafetensorsOptions = {},
): Generator<Uint8Array> {
  if (tensors.size > maxTensors) throw tooMany(undefined);
  const stored = new Map([...tensors].map(([name, tensor]) => [name, prepare(name, tensor, options)]));
  const { header, order } = layOutSafetensors(stored, metadata);
  yield header;
  for (const name of order) yield tensorBytes(stored.get(name) as HostTensor); // names are its keys
}

function encodeHeader(entries: readonly string[]): Uint8Array {
  const json = new TextEncoder().encode(`{${entries.join(",")}}`);
  const length = Math.ceil(json.length / 8) * 8;
  if (length > maxHeaderBytes)
    throw refuse("HEADER_TOO_LARGE", "Names and metadata exceed 100 MB.", undefined);
  const header = new Uint8Array(lengthBytes + length).fill(0x20, lengthBytes);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, lengthBytes);
  return header;
}

/**
 * A whole file; see `safetensorsParts` for layout and errors.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: MetadataInput = {},
  options: WriteSafetensorsOptions = {},
): Uint8Array {
  const parts = [...safetensorsParts(tensors, metadata, options)];
  const bytes = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let position = 0;
  for (const part of parts) {
    bytes.set(part, position);
    position += part.length;
  }
  return bytes;
}

function requireName(name: string): void {
  if (name !== metadataKey && !hasLoneSurrogate(name)) return;
  throw new NextxError("SAFETENSORS_BAD_NAME", "This cannot be a tensor's name.", { path: name });
}

/** A tensor as it will be stored, checked; not tied to its caller's object. */
function prepare(name: string, tensor: HostTensor, options: WriteSafetensorsOptions): HostTensor {
  requireName(name);
  try {
    const checked = hostTensor(tensor.dtype, tensor.shape, tensor.data);
    return options.dtype === undefined ? checked : convertFloats(checked, options.dtype);
  } catch (error) {
    if (!(error instanceof NextxError)) throw error;
    const { code, message, hint } = error;
    throw new NextxError(code, message, {
      path: name,
      ...(hint === undefined ? {} : { hint }),
      cause: error,
    });
  }
}

function metadataEntry(metadata: MetadataInput): string[] {
  const pairs = [...(metadata instanceof Map ? metadata : Object.entries(metadata))] as [string, unknown][]; // checked below
  if (pairs.length === 0) return [];
  const members = pairs.map(([key, text]) => {
    if (typeof text !== "string" || hasLoneSurrogate(key) || hasLoneSurrogate(text)) {
      throw new NextxError("SAFETENSORS_BAD_METADATA", "Metadata are strings.", { path: key });
    }
    return `${JSON.stringify(key)}:${JSON.stringify(text)}`;
  });
  return [`"${metadataKey}":{${members.sort().join(",")}}`];
}

function hasLoneSurrogate(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}
