/**
 * PyTorch checkpoints (.pth, .pt, .ckpt) without PyTorch and without running anything: the zip container since 1.6 and the
 * stream of pickles before it. One way of reading, no fallback. Works on a ByteSource, so in Node and in the page.
 * Source: torch/serialization.py (`_legacy_load`, `_load`), caffe2/serialize/inline_container.cc.
 */
import { NextxError } from "../tensor/errors.ts";
import { type ByteSource, bytesSource, readAhead } from "./byteSource.ts";
import type { HostTensor } from "./hostTensor.ts";
import { readPickle } from "./pickle.ts";
import { PickleDict, PickleList, type PickleValue } from "./pickleValues.ts";
import { type StateDict, selectStateDict, stateDicts } from "./stateDict.ts";
import type { TensorDict } from "./tensorFile.ts";
import { type TorchTable, torchTable } from "./torchPickle.ts";
import { type StorageReader, TensorReader } from "./torchTensors.ts";
import { compressed, readZipDirectory, stored, type ZipEntry } from "./zipDirectory.ts";
import { EntryReader, readEntry } from "./zipEntry.ts";

/**
 * One dict of tensors of an open checkpoint. `read` takes one tensor's bytes only (the codes PTH_NO_TENSOR, ZIP_DAMAGED,
 * ZIP_CRC, and those of the source); `readAll` reads each storage once, or throws PTH_TOO_LARGE.
 */
export type PthStateDict = TensorDict;

export interface PthFile {
  /** Keys of all dicts that hold tensors, with how many. */
  readonly keys: readonly { readonly key: string; readonly tensors: number }[];
  /** @throws NextxError PTH_NO_TENSORS, PTH_KEY_NEEDED, PTH_NO_KEY, PTH_DUPLICATE_NAME */
  stateDict(key?: string): PthStateDict;
  /** All dicts that hold tensors. @throws NextxError PTH_DUPLICATE_NAME */
  stateDicts(): readonly PthStateDict[];
}

/** A checkpoint's content and how its storages are read. */
interface Archive extends StorageReader {
  readonly root: PickleValue;
}

/** Pickles are small: tensors' data lie outside. */
const maxPickleBytes = 2 ** 26;

/** The first pickle of the old form. */
const legacyMagic = 0x1950a86a20f9469cfc6cn;
const legacyVersion = 1001;

/**
 * Opens a checkpoint: reads its structure, no tensor data.
 * @throws NextxError PTH_NOT_TORCH, PTH_TORCHSCRIPT, PTH_LEGACY_TAR, PTH_BIG_ENDIAN, PTH_BYTE_ORDER, PTH_BAD_STORAGE,
 * PTH_BAD_TENSOR, PTH_EXPANDED_TENSOR, PTH_UNSUPPORTED_TENSOR, PTH_TOO_LARGE, PTH_TOO_DEEP, PTH_TRAILING_BYTES, the codes
 * of readPickle and readZipDirectory, FILE_TRUNCATED
 */
export async function openPth(source: ByteSource): Promise<PthFile> {
  const start = await source.read(0, Math.min(512, source.sizeBytes));
  const archive = await openArchive(source, start);
  const dicts = stateDicts(archive.root);
  const opened = ({ tensors, ...rest }: StateDict): PthStateDict => {
    const reader = new TensorReader(source, archive, tensors);
    return {
      ...rest,
      tensors: new Map([...tensors].map(([name, { dtype, shape }]) => [name, { dtype, shape }])),
      read: (name) => reader.read(name),
      readAll: () => reader.readAll(),
    };
  };
  return {
    keys: dicts.map(({ key, tensors }) => ({ key, tensors: tensors.size })),
    stateDict: (key) => opened(selectStateDict(archive.root, key, source.path)),
    stateDicts: () => dicts.map(opened),
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

/** A word, whatever size the entry has. */
async function requireLittle(source: ByteSource, entry: ZipEntry): Promise<void> {
  const isWord = entry.sizeBytes <= "little".length;
  const word = isWord ? new TextDecoder().decode(await readEntry(source, entry)) : undefined;
  if (word === "big") throw bigEndian(source);
  if (word !== "little") throw notTorch(source, "PTH_BYTE_ORDER", "names an unknown order of bytes");
}

async function openZip(source: ByteSource): Promise<Archive> {
  const entries = await readZipDirectory(source, { deflate: true }); // of a program the code is packed
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
  for (const { name, method } of entries.values()) {
    if (method !== stored) throw compressed(name, method, source.path);
  }
  const entryOf = (name: string): ZipEntry => {
    const entry = entries.get(name);
    if (!entry) throw notTorch(source, "PTH_BAD_STORAGE", `lacks the entry "${name.slice(0, 200)}"`);
    if (name === main && entry.sizeBytes > maxPickleBytes) throw tooLarge(source, "data.pkl exceeds 64 MB");
    return entry;
  };
  const orderEntry = entries.get(`${prefix}byteorder`);
  if (orderEntry) await requireLittle(source, orderEntry);
  const sizeOf = (key: string) => entries.get(`${prefix}data/${key}`)?.sizeBytes ?? -1;
  const table = torchTable(sizeOf);
  const bytes = await readEntry(source, entryOf(main));
  const { value: root, end } = explained(table, () => readPickle(bytes, table));
  if (end !== bytes.length) throw trailing(source, bytes.length - end);
  const storages = new Map<string, EntryReader>();
  const readerOf = (key: string): EntryReader => {
    const reader = storages.get(key) ?? new EntryReader(source, entryOf(`${prefix}data/${key}`));
    storages.set(key, reader);
    return reader;
  };
  return { root, readStorage: ({ key }, offset, length) => readerOf(key).read(offset, length) };
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
  const heads = readAhead(source);
  const offsets = new Map<string, number>();
  for (const key of keys.items) {
    const storage = typeof key === "string" ? table.storages.get(key) : undefined;
    if (!storage || offsets.has(storage.key)) {
      throw notTorch(source, "PTH_BAD_STORAGE", "lists a storage twice, or one that no tensor uses");
    }
    const head = await heads.read(at, 8);
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
  return {
    root,
    readStorage: ({ key }, offset, length) => source.read(offsetOf(key) + offset, length),
  };
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
