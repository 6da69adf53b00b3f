/**
 * PyTorch checkpoints (.pth, .pt, .ckpt) without PyTorch and without running anything: the zip container since 1.6 and the
 * stream of pickles before it. One way of reading, no fallback. Works on a ByteSource, so in Node and in the page.
 * Source: torch/serialization.py (`_legacy_load`, `_load`), caffe2/serialize/inline_container.cc.
 */
import { NextxError } from "../tensor/errors.ts";
import { type ByteSource, bytesSource } from "./byteSource.ts";
import { dtypeBytes, type HostTensor, viewTensor } from "./hostTensor.ts";
import { PickleDict, PickleList, type PickleValue, readPickle } from "./pickle.ts";
import { selectStateDict, stateDicts } from "./stateDict.ts";
import { readEntry, readZipDirectory } from "./storedZip.ts";
import { type TorchStorage, type TorchTable, type TorchTensor, torchTable } from "./torchPickle.ts";

/** What a checkpoint says about one tensor. */
export interface PthTensorInfo {
  readonly dtype: HostTensor["dtype"];
  readonly shape: readonly number[];
}

/** One dict of tensors of an open checkpoint. */
export interface PthStateDict {
  /** Keys joined by dots; empty for the root. */
  readonly key: string;
  readonly tensors: ReadonlyMap<string, PthTensorInfo>;
  /** Names of entries that are no tensors (numbers, text, nested dicts): left out. */
  readonly skipped: readonly string[];
  /** One tensor's data. @throws NextxError PTH_NO_TENSOR, ZIP_DAMAGED, ZIP_CRC, and the codes of the source */
  read(name: string): Promise<HostTensor>;
  /** All of them; a storage is read once. @throws NextxError as `read`, and PTH_TOO_LARGE */
  readAll(): Promise<Map<string, HostTensor>>;
}

export interface PthFile {
  /** Keys of all dicts that hold tensors, with how many. */
  readonly keys: readonly { readonly key: string; readonly tensors: number }[];
  /** @throws NextxError PTH_NO_TENSORS, PTH_KEY_NEEDED, PTH_NO_KEY, PTH_DUPLICATE_NAME */
  stateDict(key?: string): PthStateDict;
}

/** A checkpoint's content and how its storages are read. */
interface Archive {
  readonly root: PickleValue;
  readStorage(storage: TorchStorage): Promise<Uint8Array>;
}

/** Pickles are small: tensors' data lie outside. */
const maxPickleBytes = 2 ** 26;

/** The first pickle of the old form. */
const legacyMagic = 0x1950a86a20f9469cfc6cn;
const legacyVersion = 1001;

/**
 * Opens a checkpoint: reads its structure, no tensor data.
 * @throws NextxError PTH_NOT_TORCH, PTH_TORCHSCRIPT, PTH_LEGACY_TAR, PTH_BIG_ENDIAN, PTH_BAD_STORAGE, PTH_BAD_TENSOR,
 * PTH_EXPANDED_TENSOR, PTH_UNSUPPORTED_TENSOR, PTH_TOO_LARGE, PTH_TRAILING_BYTES, the codes of readPickle and
 * readZipDirectory, FILE_TRUNCATED
 */
export async function openPth(source: ByteSource): Promise<PthFile> {
  const start = await source.read(0, Math.min(512, source.sizeBytes));
  const archive = await openArchive(source, start);
  const keys = stateDicts(archive.root).map(({ key, tensors }) => ({ key, tensors: tensors.size }));
  return {
    keys,
    stateDict: (key) => {
      const { tensors, ...rest } = selectStateDict(archive.root, key, source.path);
      const reader = new TensorReader(source, archive, tensors);
      return {
        ...rest,
        tensors: new Map([...tensors].map(([name, { dtype, shape }]) => [name, { dtype, shape }])),
        read: (name) => reader.read(name),
        readAll: () => reader.readAll(),
      };
    },
  };
}

function openArchive(source: ByteSource, start: Uint8Array): Promise<Archive> {
  if (start[0] === 0x50 && start[1] === 0x4b) return openZip(source);
  if (start[0] === 0x80) return openLegacy(source);
  const isTar = new TextDecoder("latin1").decode(start.subarray(257, 262)) === "ustar";
  if (isTar) {
    throw notTorch(source, "PTH_LEGACY_TAR", "is a checkpoint of PyTorch before 0.1.10, which is not read");
  }
  throw notTorch(source, "PTH_NOT_TORCH", "is no PyTorch checkpoint");
}

function notTorch({ path }: ByteSource, code: string, what: string): NextxError {
  return new NextxError(code, `${path} ${what}.`, {
    path,
    hint: "Save it again with torch.save(model.state_dict(), path), PyTorch 1.6 or newer.",
  });
}

async function openZip(source: ByteSource): Promise<Archive> {
  const entries = await readZipDirectory(source);
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const [main] = pickles;
  if (main === undefined || pickles.length > 1) {
    throw notTorch(source, "PTH_NOT_TORCH", `is a zip archive with ${pickles.length} data.pkl, not one`);
  }
  const prefix = main.slice(0, -"data.pkl".length);
  const isScript = [...entries.keys()].some((name) => name.startsWith(`${prefix}code/`));
  if (isScript || entries.has(`${prefix}constants.pkl`)) {
    throw notTorch(source, "PTH_TORCHSCRIPT", "is a TorchScript program, not a checkpoint");
  }
  const read = async (name: string): Promise<Uint8Array> => {
    const entry = entries.get(name);
    if (!entry) throw notTorch(source, "PTH_BAD_STORAGE", `lacks the entry "${name.slice(0, 200)}"`);
    if (name === main && entry.sizeBytes > maxPickleBytes) throw tooLarge(source, "data.pkl exceeds 64 MB");
    return readEntry(source, entry);
  };
  const orderName = `${prefix}byteorder`;
  const order = entries.has(orderName) ? new TextDecoder().decode(await read(orderName)) : "little";
  if (order !== "little") throw bigEndian(source);
  const sizeOf = (key: string) => entries.get(`${prefix}data/${key}`)?.sizeBytes ?? -1;
  const table = torchTable(sizeOf);
  const bytes = await read(main);
  const { value: root, end } = explained(table, () => readPickle(bytes, table));
  if (end !== bytes.length) throw trailing(source, bytes.length - end);
  return { root, readStorage: ({ key }) => read(`${prefix}data/${key}`) };
}

/** Magic, version, system, content, list of storage keys; then per key an int64 length and the data. */
async function openLegacy(source: ByteSource): Promise<Archive> {
  const bytes = await source.read(0, Math.min(maxPickleBytes, source.sizeBytes));
  const table = torchTable(() => undefined);
  let at = 0;
  const next = (): PickleValue => {
    const { value, end } = explained(table, () => readPickle(bytes, table, at));
    at = end;
    return value;
  };
  if (next() !== legacyMagic) throw notTorch(source, "PTH_NOT_TORCH", "is a pickle, but not from torch.save");
  if (next() !== legacyVersion) throw notTorch(source, "PTH_NOT_TORCH", "has an unknown version");
  const system = next();
  if (!(system instanceof PickleDict) || system.entries.get("little_endian") !== true)
    throw bigEndian(source);
  const root = next();
  const keys = next();
  if (!(keys instanceof PickleList)) throw notTorch(source, "PTH_BAD_STORAGE", "lacks its list of storages");
  const offsets = new Map<string, number>();
  for (const key of keys.items) {
    const storage = typeof key === "string" ? table.storages.get(key) : undefined;
    if (!storage || offsets.has(storage.key)) {
      throw notTorch(source, "PTH_BAD_STORAGE", "lists a storage twice, or one that no tensor uses");
    }
    const head = await source.read(at, 8);
    const length = new DataView(head.buffer, head.byteOffset, 8).getBigInt64(0, true);
    if (length !== BigInt(storage.length)) {
      throw notTorch(
        source,
        "PTH_BAD_STORAGE",
        `holds ${length} elements where ${storage.length} are expected`,
      );
    }
    offsets.set(storage.key, at + 8);
    at += 8 + storage.sizeBytes;
  }
  if (offsets.size !== table.storages.size) {
    throw notTorch(source, "PTH_BAD_STORAGE", "lacks a storage that tensors use");
  }
  if (at > source.sizeBytes) throw notTorch(source, "FILE_TRUNCATED", "is cut off inside the tensors' data");
  if (at < source.sizeBytes) throw trailing(source, source.sizeBytes - at);
  const offsetOf = (key: string) => offsets.get(key) ?? -1; // all are there
  return { root, readStorage: ({ key, sizeBytes }) => source.read(offsetOf(key), sizeBytes) };
}

function explained<T>(table: TorchTable, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw table.explain(error);
  }
}

function bigEndian(source: ByteSource): NextxError {
  return notTorch(source, "PTH_BIG_ENDIAN", "was written on a big-endian machine, which is not read");
}

function trailing(source: ByteSource, count: number): NextxError {
  return notTorch(source, "PTH_TRAILING_BYTES", `has ${count} bytes that belong to nothing`);
}

function tooLarge({ path }: ByteSource, what: string): NextxError {
  return new NextxError("PTH_TOO_LARGE", `${path}: ${what}.`, { path, hint: "Read single tensors instead." });
}

/** Turns descriptions into data. Contiguous tensors share their storage's memory, others are gathered into copies. */
class TensorReader {
  private readonly source: ByteSource;
  private readonly archive: Archive;
  private readonly tensors: ReadonlyMap<string, TorchTensor>;

  constructor(source: ByteSource, archive: Archive, tensors: ReadonlyMap<string, TorchTensor>) {
    this.source = source;
    this.archive = archive;
    this.tensors = tensors;
  }

  async read(name: string): Promise<HostTensor> {
    const { path } = this.source;
    const tensor = this.tensors.get(name);
    if (!tensor) throw new NextxError("PTH_NO_TENSOR", `${path} has no tensor "${name}".`, { path: name });
    return materialise(tensor, await this.archive.readStorage(tensor.storage));
  }

  async readAll(): Promise<Map<string, HostTensor>> {
    this.requireModest();
    const storages = new Map<string, Uint8Array>();
    const all = new Map<string, HostTensor>();
    for (const [name, tensor] of this.tensors) {
      const { storage } = tensor;
      const bytes = storages.get(storage.key) ?? (await this.archive.readStorage(storage));
      storages.set(storage.key, bytes);
      all.set(name, materialise(tensor, bytes));
    }
    return all;
  }

  /** Copies may not multiply a small file without bound. */
  private requireModest(): void {
    const copied = [...this.tensors.values()]
      .filter((tensor) => !isContiguous(tensor))
      .reduce((sum, { shape, dtype }) => sum + shape.reduce((a, b) => a * b, dtypeBytes(dtype)), 0);
    if (copied > 2 * this.source.sizeBytes + 2 ** 26) {
      throw tooLarge(this.source, `its strided tensors unfold to ${copied} bytes`);
    }
  }
}

/** Whether elements lie in row-major order without gaps; sides of 1 and empty tensors have no order. */
function isContiguous({ shape, strides }: TorchTensor): boolean {
  if (shape.includes(0)) return true;
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const side = shape[axis] as number; // in range
    if (side !== 1 && strides[axis] !== expected) return false;
    expected *= side;
  }
  return true;
}

function materialise(tensor: TorchTensor, bytes: Uint8Array): HostTensor {
  const { dtype, shape, strides, offset } = tensor;
  const itemBytes = dtypeBytes(dtype);
  const count = shape.reduce((a, b) => a * b, 1);
  if (count === 0) return viewTensor(dtype, shape, new Uint8Array(0));
  if (isContiguous(tensor)) {
    return viewTensor(dtype, shape, bytes.subarray(offset * itemBytes, (offset + count) * itemBytes));
  }
  const source = viewTensor(
    dtype,
    [Math.floor(bytes.length / itemBytes)],
    bytes.subarray(0, bytes.length - (bytes.length % itemBytes)),
  );
  const result = viewTensor(dtype, shape, new Uint8Array(count * itemBytes));
  const [from, to] = [source.data, result.data] as [Float32Array, Float32Array]; // same class, whichever it is
  const position = shape.map(() => 0);
  let at = offset;
  for (let i = 0; i < count; i++) {
    to[i] = from[at] as number; // verified to lie inside
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const [side, stride] = [shape[axis] as number, strides[axis] as number]; // in range
      position[axis] = (position[axis] as number) + 1;
      at += stride;
      if ((position[axis] as number) < side) break;
      at -= side * stride;
      position[axis] = 0;
    }
  }
  return result;
}

/**
 * Reads all tensors of one dict of a checkpoint in memory.
 * @throws NextxError the codes of openPth, stateDict and readAll
 */
export async function readPth(
  bytes: Uint8Array,
  { key, path = "file" }: { readonly key?: string; readonly path?: string } = {},
): Promise<Map<string, HostTensor>> {
  return (await openPth(bytesSource(bytes, path))).stateDict(key).readAll();
}
