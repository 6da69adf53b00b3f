/**
 * The bytes of one entry of a zip archive: its local header, and sizes that follow its data, must say what the directory
 * says, and its data must match their CRC. Ranges of large stored entries are read without holding the whole entry.
 */
import { Inflate } from "fflate";
import { NextxError } from "../tensor/errors.ts";
import { allocateBytes, type ByteSource } from "./byteSource.ts";
import { crc32 } from "./pngChunks.ts";
import { deflated, largeSizes, overlaps, stored, unset32, type ZipEntry, zipError } from "./zipDirectory.ts";

/** Bytes read at once while a CRC is computed. */
const sliceBytes = 2 ** 24;
/** Unpacked at most about 1,000 times this at once, the largest ratio of deflate. */
const inflateSliceBytes = 2 ** 12;

/** Where an entry's data start, after comparing its local header with the directory. Errors: ZIP_DAMAGED. */
async function dataOffsetOf(source: ByteSource, entry: ZipEntry): Promise<number> {
  const { path } = source;
  const { name, sizeBytes, packedBytes, headerOffset, flags, method, crc } = entry;
  const header = await source.read(headerOffset, 30);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const [nameLength, extraLength] = [view.getUint16(26, true), view.getUint16(28, true)];
  if (headerOffset + 30 + nameLength + extraLength + packedBytes > entry.limitOffset)
    throw overlaps(name, path);
  const rest = await source.read(headerOffset + 30, nameLength + extraLength);
  const [packed, size] = [view.getUint32(18, true), view.getUint32(22, true)];
  const isLarge = packed === unset32 || size === unset32;
  const [localSize, localPacked] = isLarge
    ? largeSizes(rest.subarray(nameLength), [size, packed, 0], path)
    : [size, packed];
  const later = (flags & 8) !== 0; // CRC and sizes may follow the data
  const same = (local: number, central: number) => local === central || (later && local === 0);
  const agrees =
    view.getUint32(0, true) === 0x04034b50 &&
    view.getUint16(6, true) === flags &&
    view.getUint16(8, true) === method &&
    same(view.getUint32(14, true), crc) &&
    same(localPacked, packedBytes) &&
    same(localSize, sizeBytes) &&
    new TextDecoder().decode(rest.subarray(0, nameLength)) === name;
  if (!agrees) throw zipError(path, `the local header of "${name}" contradicts the directory`);
  return headerOffset + 30 + nameLength + extraLength;
}

/** CRC and sizes behind the data, with or without a signature, sizes of 32 or 64 bits. Errors: ZIP_DAMAGED. */
async function requireDescriptor(source: ByteSource, entry: ZipEntry, dataOffset: number): Promise<void> {
  const { name, flags, crc, packedBytes, sizeBytes, limitOffset } = entry;
  if ((flags & 8) === 0) return;
  const at = dataOffset + packedBytes;
  const bytes = await source.read(at, Math.min(24, limitOffset - at));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const says = (start: number, isLarge: boolean): boolean => {
    if (start + (isLarge ? 20 : 12) > bytes.length || view.getUint32(start, true) !== crc) return false;
    const size = (i: number) =>
      isLarge ? Number(view.getBigUint64(start + 4 + 8 * i, true)) : view.getUint32(start + 4 + 4 * i, true);
    return size(0) === packedBytes && size(1) === sizeBytes;
  };
  const isSigned = bytes.length >= 4 && view.getUint32(0, true) === 0x08074b50;
  const agrees = [false, true].some((isLarge) => says(0, isLarge) || (isSigned && says(4, isLarge)));
  if (!agrees) throw zipError(source.path, `what follows the data of "${name}" contradicts the directory`);
}

function requireCrc(computed: number, { name, crc }: ZipEntry, path: string): void {
  if (computed === crc) return;
  if (crc !== 0) throw zipError(path, `the data of "${name}" do not match their checksum`, "ZIP_CRC");
  throw new NextxError("ZIP_NO_CHECKSUM", `${path}: "${name}" was saved without a checksum of its data.`, {
    path,
    hint: "In Python, torch.serialization.set_crc32_options(True), then load it and save it again.",
  });
}

/**
 * An entry's unpacked bytes.
 * @throws NextxError ZIP_DAMAGED, ZIP_CRC, ZIP_NO_CHECKSUM, FILE_TOO_LARGE, and the codes of the source
 */
export async function readEntry(source: ByteSource, entry: ZipEntry): Promise<Uint8Array> {
  const offset = await dataOffsetOf(source, entry);
  const data = await source.read(offset, entry.packedBytes);
  const bytes = entry.method === deflated ? inflate(data, entry, source.path, entry.sizeBytes) : data;
  if (bytes.length !== entry.sizeBytes)
    throw zipError(source.path, `"${entry.name}" unpacks to another size`);
  await requireDescriptor(source, entry, offset);
  requireCrc(crc32(bytes), entry, source.path);
  return bytes;
}

/**
 * The first bytes of an entry, at most `length`; their CRC is not checked.
 * @throws NextxError ZIP_DAMAGED, and the codes of the source
 */
export async function readEntryStart(
  source: ByteSource,
  entry: ZipEntry,
  length: number,
): Promise<Uint8Array> {
  const offset = await dataOffsetOf(source, entry);
  const wanted = Math.min(length, entry.sizeBytes);
  if (entry.method === stored) return source.read(offset, wanted);
  const data = await source.read(offset, Math.min(entry.packedBytes, length + 1024)); // deflate hardly grows
  return inflate(data, entry, source.path, wanted);
}

/** Unpacks up to `length` bytes; more is never held, and never more than the entry says. */
function inflate(packed: Uint8Array, entry: ZipEntry, path: string, length: number): Uint8Array {
  const bytes = allocateBytes(path, length);
  let filled = 0;
  let excess = false;
  const stream = new Inflate((chunk) => {
    const kept = chunk.subarray(0, length - filled);
    bytes.set(kept, filled);
    filled += kept.length;
    excess ||= kept.length < chunk.length;
  });
  try {
    for (let at = 0; at < packed.length && !excess; at += inflateSliceBytes) {
      const end = at + inflateSliceBytes;
      stream.push(packed.subarray(at, end), end >= packed.length && length === entry.sizeBytes);
    }
  } catch (cause) {
    throw zipError(path, `the packed data of "${entry.name}" are damaged`, "ZIP_DAMAGED", cause);
  }
  if (excess && length === entry.sizeBytes) {
    throw zipError(path, `"${entry.name}" unpacks to more than its ${entry.sizeBytes} bytes`);
  }
  return filled === length ? bytes : bytes.subarray(0, filled);
}

/** Ranges of a stored entry; the whole of it is verified before the first. */
export class EntryReader {
  readonly #source: ByteSource;
  readonly #entry: ZipEntry;
  #dataOffset: number | undefined;

  constructor(source: ByteSource, entry: ZipEntry) {
    this.#source = source;
    this.#entry = entry;
  }

  /** @throws NextxError ZIP_DAMAGED, ZIP_CRC, ZIP_NO_CHECKSUM, and the codes of the source */
  async read(offset: number, length: number): Promise<Uint8Array> {
    if (offset === 0 && length === this.#entry.sizeBytes) return readEntry(this.#source, this.#entry);
    this.#dataOffset ??= await this.#verify();
    return this.#source.read(this.#dataOffset + offset, length);
  }

  async #verify(): Promise<number> {
    const start = await dataOffsetOf(this.#source, this.#entry);
    await requireDescriptor(this.#source, this.#entry, start);
    let crc = 0;
    for (let at = 0; at < this.#entry.sizeBytes; at += sliceBytes) {
      const length = Math.min(sliceBytes, this.#entry.sizeBytes - at);
      crc = crc32(await this.#source.read(start + at, length), crc);
    }
    requireCrc(crc, this.#entry, this.#source.path);
    return start;
  }
}
