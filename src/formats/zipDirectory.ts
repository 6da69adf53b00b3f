/**
 * The directory of a zip archive; ZIP64 included. Read by hand instead of by a library because only a strict reader is of
 * use here: one meaning per file (nothing in front of the first entry, between directory and end, or behind the end, where
 * a comment would be; unique names, no overlaps), local and central headers and what follows the data must agree, and every
 * entry's CRC is checked (`zipEntry.ts`). Comments of entries mean nothing. Entries are stored, as torch.save writes them;
 * compressed ones are read where the caller allows it.
 * Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
 */
import { NextxError } from "../tensor/errors.ts";
import type { ByteSource } from "./byteSource.ts";

export interface ZipEntry {
  readonly name: string;
  /** Unpacked. */
  readonly sizeBytes: number;
  /** As it lies in the archive: the same for a stored entry. */
  readonly packedBytes: number;
  readonly method: typeof stored | typeof deflated;
  readonly crc: number;
  readonly flags: number;
  /** Where its local header starts. */
  readonly headerOffset: number;
  /** Where the next entry or the directory starts. */
  readonly limitOffset: number;
}

/** Methods of packing that are read. */
export const stored = 0;
export const deflated = 8;

export interface ZipOptions {
  /** Also read deflated entries; else they are refused as ZIP_COMPRESSED. */
  readonly deflate?: boolean;
}

const maxEntries = 200_000;
const maxDirectoryBytes = 2 ** 26;
const endBytes = 22;
/** Stands for a size that the ZIP64 field has. */
export const unset32 = 0xffffffff;
/** Bit 3: sizes follow the data; bit 11: names are UTF-8. */
const allowedFlags = 0x0808;
/** Bits 1 and 2: how hard deflate tried. */
const deflateFlags = 0x0006;

export function zipError(path: string, what: string, code = "ZIP_DAMAGED", cause?: unknown): NextxError {
  const hint = "Get a fresh copy of the file.";
  return new NextxError(code, `${path}: ${what}.`, { path, hint, cause });
}

/**
 * The entries of an archive by name; data are read by `readEntry`.
 * @throws NextxError ZIP_DAMAGED, ZIP_COMPRESSED, ZIP_ENCRYPTED, ZIP_BAD_NAME, ZIP_TOO_LARGE, FILE_TRUNCATED
 */
export async function readZipDirectory(
  source: ByteSource,
  { deflate = false }: ZipOptions = {},
): Promise<Map<string, ZipEntry>> {
  const { path } = source;
  const { count, offset, sizeBytes } = await findDirectory(source);
  if (count > maxEntries || sizeBytes > maxDirectoryBytes) {
    throw zipError(path, "more than 200,000 entries", "ZIP_TOO_LARGE");
  }
  const directory = await source.read(offset, sizeBytes);
  const entries = new Map<string, CentralEntry>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    const { entry, end } = parseCentral(directory, at, path, deflate);
    if (entries.has(entry.name)) throw zipError(path, `two entries "${entry.name}"`, "ZIP_BAD_NAME");
    entries.set(entry.name, entry);
    at = end;
  }
  if (at !== sizeBytes) throw zipError(path, "the directory's size and its entries differ");
  return withLimits([...entries.values()], offset, path);
}

type CentralEntry = Omit<ZipEntry, "limitOffset">;

interface DirectoryPlace {
  readonly count: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

async function findDirectory(source: ByteSource): Promise<DirectoryPlace> {
  const { path, sizeBytes: fileBytes } = source;
  if (fileBytes < endBytes) throw zipError(path, "too short for a zip archive");
  const endAt = fileBytes - endBytes;
  const end = viewOf(await source.read(endAt, endBytes));
  if (end.getUint32(0, true) !== 0x06054b50 || end.getUint16(20, true) !== 0) {
    throw zipError(path, "no end of a zip archive at its end: cut off, or something was added");
  }
  const small = {
    disks: [end.getUint16(4, true), end.getUint16(6, true)],
    counts: [end.getUint16(8, true), end.getUint16(10, true)],
    sizeBytes: end.getUint32(12, true),
    offset: end.getUint32(16, true),
  };
  const large = await findLargeEnd(source, endAt);
  const { at, disks, counts, sizeBytes, offset } = large ?? { at: endAt, ...small };
  const agrees =
    !large ||
    ((small.counts[1] === 0xffff || small.counts[1] === counts[1]) &&
      (small.sizeBytes === unset32 || small.sizeBytes === sizeBytes) &&
      (small.offset === unset32 || small.offset === offset));
  const [count, total] = counts as [number, number]; // both branches give two
  if (!agrees || disks.some((disk) => disk !== 0) || count !== total || offset + sizeBytes !== at) {
    throw zipError(path, "the end of the zip archive contradicts its directory");
  }
  return { count, offset, sizeBytes };
}

/** The ZIP64 end, right before its locator, right before the end; undefined when there is none. */
async function findLargeEnd(source: ByteSource, endAt: number) {
  const at = endAt - 20 - 56;
  if (at < 0) return undefined;
  const view = viewOf(await source.read(at, 76));
  if (view.getUint32(56, true) !== 0x07064b50) return undefined;
  const number = (offset: number) => Number(view.getBigUint64(offset, true));
  const isWhole =
    view.getUint32(0, true) === 0x06064b50 &&
    number(4) === 44 &&
    view.getUint32(60, true) === 0 &&
    number(64) === at &&
    view.getUint32(72, true) <= 1;
  if (!isWhole) throw zipError(source.path, "a damaged ZIP64 end");
  return {
    at,
    disks: [view.getUint32(16, true), view.getUint32(20, true)],
    counts: [number(24), number(32)],
    sizeBytes: number(40),
    offset: number(48),
  };
}

function parseCentral(
  directory: Uint8Array,
  at: number,
  path: string,
  deflate: boolean,
): { entry: CentralEntry; end: number } {
  const view = viewOf(directory);
  if (at + 46 > directory.length || view.getUint32(at, true) !== 0x02014b50) {
    throw zipError(path, "a damaged directory entry");
  }
  const flags = view.getUint16(at + 8, true);
  const nameEnd = at + 46 + view.getUint16(at + 28, true);
  const extraEnd = nameEnd + view.getUint16(at + 30, true);
  const end = extraEnd + view.getUint16(at + 32, true);
  if (end > directory.length) throw zipError(path, "a damaged directory entry");
  const name = entryName(directory.subarray(at + 46, nameEnd), path);
  const [sizeBytes, packedBytes, headerOffset] = largeSizes(
    directory.subarray(nameEnd, extraEnd),
    [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)],
    path,
  );
  const method = requireMethod(name, flags, view.getUint16(at + 10, true), path, deflate);
  if ((method === stored && sizeBytes !== packedBytes) || view.getUint16(at + 34, true) !== 0) {
    throw zipError(path, `the entry "${name}" contradicts itself`);
  }
  const crc = view.getUint32(at + 16, true);
  return { entry: { name, sizeBytes, packedBytes, method, crc, flags, headerOffset }, end };
}

function requireMethod(
  name: string,
  flags: number,
  method: number,
  path: string,
  deflate: boolean,
): ZipEntry["method"] {
  if ((flags & 0x2041) !== 0) throw zipError(path, `the entry "${name}" is encrypted`, "ZIP_ENCRYPTED");
  const known = method === stored || (method === deflated && deflate);
  if (!known) throw compressed(name, method, path);
  if ((flags & ~(method === deflated ? allowedFlags | deflateFlags : allowedFlags)) !== 0) {
    throw zipError(path, `the entry "${name}" has unknown flags`);
  }
  return method;
}

export function compressed(name: string, method: number, path: string): NextxError {
  return new NextxError("ZIP_COMPRESSED", `${path}: the entry "${name}" is compressed (method ${method}).`, {
    path,
    hint: "torch.save stores entries uncompressed; the archive was packed by something else.",
  });
}

function entryName(bytes: Uint8Array, path: string): string {
  const hint = "PyTorch takes it from the file's name: save it again under a plain name, such as model.pth.";
  let name = "";
  try {
    name = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new NextxError("ZIP_BAD_NAME", `${path}: an entry's name is not UTF-8.`, { path, hint, cause });
  }
  const parts = name.split("/");
  const isPlain = parts.every((part, i) => part !== "." && part !== ".." && (part !== "" || i > 0));
  // PyTorch makes names of the file's own one, such as "run_12:30.pth": a colon is refused where it may end a drive's letter.
  if (isPlain && !/[\\\0]|^[A-Za-z]:/.test(name)) return name;
  const message = `${path}: the entry name ${JSON.stringify(name.slice(0, 200))} is not plain.`;
  throw new NextxError("ZIP_BAD_NAME", message, { path, hint });
}

/** Replaces sizes that are all ones by those of the ZIP64 extra field, in the field's order. */
export function largeSizes(
  extra: Uint8Array,
  small: readonly [number, number, number],
  path: string,
): [number, number, number] {
  const view = viewOf(extra);
  const sizes: [number, number, number] = [...small];
  if (!small.includes(unset32)) return sizes;
  for (let at = 0; at + 4 <= extra.length; ) {
    const length = view.getUint16(at + 2, true);
    const end = at + 4 + length;
    if (end > extra.length) break;
    if (view.getUint16(at, true) === 1) {
      let next = at + 4;
      for (const i of [0, 1, 2] as const) {
        if (sizes[i] !== unset32) continue;
        if (next + 8 > end) throw zipError(path, "a damaged ZIP64 field");
        sizes[i] = Number(view.getBigUint64(next, true));
        next += 8;
      }
      return sizes;
    }
    at = end;
  }
  throw zipError(path, "a ZIP64 field is missing");
}

function withLimits(entries: CentralEntry[], directoryOffset: number, path: string): Map<string, ZipEntry> {
  entries.sort((a, b) => a.headerOffset - b.headerOffset);
  if ((entries[0]?.headerOffset ?? directoryOffset) !== 0)
    throw zipError(path, "bytes before its first entry");
  const bounded = entries.map((entry, i) => {
    const limitOffset = entries[i + 1]?.headerOffset ?? directoryOffset;
    if (entry.headerOffset + 30 + entry.packedBytes > limitOffset) throw overlaps(entry.name, path);
    return [entry.name, { ...entry, limitOffset }] as const;
  });
  return new Map(bounded);
}

export function overlaps(name: string, path: string): NextxError {
  return zipError(path, `the entry "${name}" overlaps what follows`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
