/** Builds torch checkpoints byte by byte for tests: pickle opcodes, stored zip archives, the old stream form. */
import { deflateSync } from "fflate";
import { crc32 } from "../pngChunks.ts";

export type Part = Uint8Array | string | number;

/** Joins bytes, Latin-1 text and single bytes. */
export function join(...parts: readonly Part[]): Uint8Array {
  return new Uint8Array(
    Buffer.concat(
      parts.map((part) =>
        typeof part === "number"
          ? Buffer.of(part)
          : typeof part === "string"
            ? Buffer.from(part, "latin1")
            : part,
      ),
    ),
  );
}

const little = (value: number, bytes: number) => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer.subarray(0, bytes);
};

/** Opcodes of protocol 2 as the pickler writes them, without memo. */
export const op = {
  text: (text: string) => join("X", little(Buffer.byteLength(text), 4), Buffer.from(text)),
  int: (value: number) => join("J", little(value >>> 0, 4)),
  long: (value: number) => join(0x8a, 8, little(value, 8)),
  tuple: (...items: readonly Part[]) => join("(", ...items, "t"),
  list: (...items: readonly Part[]) => join("](", ...items, "e"),
  dict: (...items: readonly Part[]) => join("}(", ...items, "u"),
  global: (module: string, name: string) => join(`c${module}\n${name}\n`),
  call: (callee: Part, ...args: readonly Part[]) => join(callee, op.tuple(...args), "R"),
  none: "N",
  no: 0x89,
  pickle: (...parts: readonly Part[]) => join(0x80, 2, ...parts, "."),
  ordered: () => op.call(op.global("collections", "OrderedDict")),
  storage: (type: string, key: string, length: number) =>
    join(
      op.tuple(op.text("storage"), op.global("torch", type), op.text(key), op.text("cpu"), op.long(length)),
      "Q",
    ),
  tensor: (storage: Part, offset: number, shape: readonly number[], strides: readonly number[]) =>
    op.call(
      op.global("torch._utils", "_rebuild_tensor_v2"),
      storage,
      op.int(offset),
      op.tuple(...shape.map(op.int)),
      op.tuple(...strides.map(op.int)),
      op.no,
      op.ordered(),
    ),
};

export interface ZipPart {
  readonly name: string;
  readonly data: Uint8Array;
  /** Differences from a plain stored entry. */
  readonly flags?: number;
  readonly method?: number;
  readonly crc?: number;
  readonly localName?: string;
  readonly localSize?: number;
  readonly size?: number;
  /** Of a packed entry. */
  readonly unpackedSize?: number;
  /** Bytes in front of its header, and behind its data. */
  readonly before?: Uint8Array;
  readonly after?: Uint8Array;
}

/** A deflated entry; `size` lies about what it unpacks to. */
export function packed(name: string, plain: Uint8Array, size = plain.length): ZipPart {
  return { name, data: deflateSync(plain), method: 8, crc: crc32(plain), unpackedSize: size };
}

/** An archive of stored entries, sizes in the local headers. */
export function zip(parts: readonly ZipPart[]): Uint8Array {
  const locals: Uint8Array[] = [];
  const centrals: Uint8Array[] = [];
  let at = 0;
  for (const part of parts) {
    const { name, data, flags = 0, method = 0, crc = crc32(data), size = data.length } = part;
    const { before = new Uint8Array(0), after = new Uint8Array(0) } = part;
    at += before.length;
    const sizes = [part.localSize ?? size, part.unpackedSize ?? part.localSize ?? size] as const;
    const local = localHeader(part.localName ?? name, flags, method, crc, sizes);
    centrals.push(
      join(
        "PK\x01\x02\x14\x00",
        common(flags, method, crc, [size, part.unpackedSize ?? size]),
        little(Buffer.byteLength(name), 2),
        new Uint8Array(12),
        little(at, 4),
        Buffer.from(name),
      ),
    );
    locals.push(before, local, data, after);
    at += local.length + data.length + after.length;
  }
  const directory = join(...centrals);
  const count = little(parts.length, 2);
  const end = join(
    "PK\x05\x06",
    new Uint8Array(4),
    count,
    count,
    little(directory.length, 4),
    little(at, 4),
    0,
    0,
  );
  return join(...locals, directory, end);
}

type Sizes = readonly [packed: number, unpacked: number];

function common(flags: number, method: number, crc: number, [packed, unpacked]: Sizes): Uint8Array {
  const sizes = [little(crc, 4), little(packed, 4), little(unpacked, 4)];
  return join(0x14, 0, little(flags, 2), little(method, 2), new Uint8Array(4), ...sizes);
}

function localHeader(name: string, flags: number, method: number, crc: number, sizes: Sizes): Uint8Array {
  const lengths = [little(Buffer.byteLength(name), 2), new Uint8Array(2)];
  return join("PK\x03\x04", common(flags, method, crc, sizes), ...lengths, Buffer.from(name));
}

/** The archive of a checkpoint. */
export function torchZip(
  pickle: Uint8Array,
  storages: Readonly<Record<string, Uint8Array>>,
  more: readonly ZipPart[] = [],
): Uint8Array {
  const data = Object.entries(storages).map(([key, bytes]) => ({ name: `a/data/${key}`, data: bytes }));
  return zip([
    { name: "a/data.pkl", data: pickle },
    ...data,
    { name: "a/version", data: join("3\n") },
    ...more,
  ]);
}

/** The old form: pickles, then for each key its length and data. */
export function torchLegacy(
  root: Uint8Array,
  storages: readonly (readonly [key: string, length: number, data: Uint8Array])[],
  littleEndian = true,
): Uint8Array {
  return join(
    op.pickle(0x8a, 10, Buffer.from("6cfc9c46f9206aa85019", "hex")),
    op.pickle("M", 0xe9, 3),
    op.pickle(op.dict(op.text("little_endian"), littleEndian ? 0x88 : 0x89)),
    root,
    op.pickle(op.list(...storages.map(([key]) => op.text(key)))),
    ...storages.flatMap(([, length, data]) => [little(length, 8), data]),
  );
}
