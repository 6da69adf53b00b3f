/**
 * The bytes of one entry of a zip archive: its local header must say what the directory says, and its data must match
 * their CRC. Ranges of large stored entries are read without holding the whole entry.
 */
import { Inflate } from "fflate";
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

function requireCrc(computed: number, { name, crc }: ZipEntry, path: string): void {
  if (computed !== crc) throw zipError(path, `the data of "${name}" do not match their checksum`, "ZIP_CRC");
}

/**
 * An entry's unpacked bytes.
 * @throws NextxError ZIP_DAMAGED, ZIP_CRC, FILE_TOO_LARGE, and the codes of the source
 */
export async function readEntry(source: ByteSource, entry: ZipEntry): Promise<Uint8Array> {
  const data = await source.read(await dataOffsetOf(source, entry), entry.packedBytes);
  const bytes = entry.method === deflated ? inflate(data, entry, source.path, entry.sizeBytes) : data;
  if (bytes.length !== entry.sizeBytes)
    throw zipError(source.path, `"${entry.name}" unpacks to another size`);
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

  /** @throws NextxError ZIP_DAMAGED, ZIP_CRC, and the codes of the source */
  async read(offset: number, length: number): Promise<Uint8Array> {
    if (offset === 0 && length === this.#entry.sizeBytes) return readEntry(this.#source, this.#entry);
    this.#dataOffset ??= await this.#verify();
    return this.#source.read(this.#dataOffset + offset, length);
  }

  async #verify(): Promise<number> {
    const start = await dataOffsetOf(this.#source, this.#entry);
    let crc = 0;
    for (let at = 0; at < this.#entry.sizeBytes; at += sliceBytes) {
      const length = Math.min(sliceBytes, this.#entry.sizeBytes - at);
      crc = crc32(await this.#source.read(start + at, length), crc);
    }
    requireCrc(crc, this.#entry, this.#source.path);
    return start;
  }
}
