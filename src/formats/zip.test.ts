import { execFileSync } from "node:child_process";
import { deflateSync } from "fflate";
import { expect, test } from "vitest";
import { bytesSource } from "./byteSource.ts";
import { crc32 } from "./pngChunks.ts";
import { codeOf, readDamaged } from "./testing/hostile.ts";
import { join, type ZipPart, zip } from "./testing/torchFile.ts";
import { readZipDirectory, type ZipEntry } from "./zipDirectory.ts";
import { EntryReader, readEntry } from "./zipEntry.ts";

/** All entries' bytes. */
async function unzip(bytes: Uint8Array): Promise<Map<string, string>> {
  const source = bytesSource(bytes);
  const texts = new Map<string, string>();
  for (const [name, entry] of await readZipDirectory(source)) {
    texts.set(name, Buffer.from(await readEntry(source, entry)).toString());
  }
  return texts;
}

const a: ZipPart = { name: "x/a", data: join("hello") };
const b: ZipPart = { name: "x/b", data: join("") };

/** ZIP64 fields: sizes and offset of the directory's only entry are all ones, given in an extra field. */
function largeZip(
  change: (archive: { extra: Buffer; end: Buffer; locator: Buffer }) => void = () => {},
): Uint8Array {
  const plain = Buffer.from(zip([a]));
  const directoryAt = plain.indexOf("PK\x01\x02");
  const endAt = plain.indexOf("PK\x05\x06");
  const central = Buffer.from(plain.subarray(directoryAt, endAt));
  central.fill(255, 20, 28);
  central.fill(255, 42, 46);
  central.writeUInt16LE(28, 30);
  const extra = Buffer.alloc(28);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(24, 2);
  extra.writeBigUInt64LE(5n, 4);
  extra.writeBigUInt64LE(5n, 12);
  const end = Buffer.alloc(56);
  end.write("PK\x06\x06", "latin1");
  end.writeBigUInt64LE(44n, 4);
  end.writeBigUInt64LE(1n, 24);
  end.writeBigUInt64LE(1n, 32);
  end.writeBigUInt64LE(BigInt(central.length + 28), 40);
  end.writeBigUInt64LE(BigInt(directoryAt), 48);
  const locator = Buffer.alloc(20);
  locator.write("PK\x06\x07", "latin1");
  locator.writeBigUInt64LE(BigInt(directoryAt + central.length + 28), 8);
  locator.writeUInt32LE(1, 16);
  change({ extra, end, locator });
  const last = Buffer.from(plain.subarray(endAt));
  last.fill(255, 8, 20);
  return join(plain.subarray(0, directoryAt), central, extra, end, locator, last);
}

test("reads stored entries, also with ZIP64 fields", async () => {
  expect(await unzip(zip([a, b]))).toEqual(
    new Map([
      ["x/a", "hello"],
      ["x/b", ""],
    ]),
  );
  expect(await unzip(zip([]))).toEqual(new Map());
  expect(await unzip(largeZip())).toEqual(new Map([["x/a", "hello"]]));
});

test("reads what Python's zipfile stores", async ({ skip }) => {
  const script = `
import zipfile, io, sys
b = io.BytesIO()
with zipfile.ZipFile(b, "w") as z:
    z.writestr("x/a", "hello")
    with z.open("x/b", "w") as f: f.write(b"abc")
sys.stdout.write(b.getvalue().hex())`;
  let hex = "";
  try {
    hex = execFileSync("python3", ["-c", script], { encoding: "utf8", stdio: "pipe" });
  } catch {
    skip();
  }
  expect(await unzip(Buffer.from(hex, "hex"))).toEqual(
    new Map([
      ["x/a", "hello"],
      ["x/b", "abc"],
    ]),
  );
});

/** What follows data whose sizes come later: a CRC and two sizes, in four spellings. */
function descriptor(crc: number, size: number, { signed = true, wide = false } = {}): Buffer {
  const bytes = Buffer.alloc(wide ? 20 : 12);
  bytes.writeUInt32LE(crc, 0);
  for (const at of [0, 1]) {
    if (wide) bytes.writeBigUInt64LE(BigInt(size), 4 + 8 * at);
    else bytes.writeUInt32LE(size, 4 + 4 * at);
  }
  return signed ? Buffer.concat([Buffer.from("PK\x07\x08", "latin1"), bytes]) : bytes;
}
const later = (after: Uint8Array): Uint8Array => zip([{ ...a, flags: 8, localSize: 0, size: 5, after }, b]);
const crcOfA = crc32(a.data);

test("sizes behind the data, in all four spellings", async () => {
  for (const signed of [true, false])
    for (const wide of [true, false])
      expect((await unzip(later(descriptor(crcOfA, 5, { signed, wide })))).get("x/a")).toBe("hello");
});

test("an archive without checksums is not called damaged", async () => {
  const bytes = zip([{ ...a, crc: 0 }]);
  await expect(unzip(bytes)).rejects.toThrow(
    expect.objectContaining({
      code: "ZIP_NO_CHECKSUM",
      hint: expect.stringContaining("set_crc32_options(True)"),
    }),
  );
  const source = bytesSource(bytes);
  const entry = (await readZipDirectory(source)).get("x/a") as ZipEntry; // it has one
  expect(await codeOf(() => new EntryReader(source, entry).read(1, 2))).toBe("ZIP_NO_CHECKSUM");
});

test("a name that is not plain is the name that PyTorch took from the file", async () => {
  await expect(unzip(zip([{ ...a, name: "a:b/data.pkl" }]))).rejects.toThrow(
    expect.objectContaining({
      code: "ZIP_BAD_NAME",
      hint: expect.stringContaining("under a plain name, such as model.pth"),
    }),
  );
});

const edited = (find: string, offset: number, value: number) => {
  const bytes = Buffer.from(zip([a, b]));
  bytes[bytes.indexOf(find, 0, "latin1") + offset] = value;
  return bytes;
};

test.each<[string, Uint8Array, string]>([
  ["nothing", join(), "ZIP_DAMAGED"],
  ["a comment", edited("PK\x05\x06", 20, 1), "ZIP_DAMAGED"],
  ["bytes behind", join(zip([a]), "x"), "ZIP_DAMAGED"],
  ["bytes in front", join("x", zip([a])), "ZIP_DAMAGED"],
  ["bytes in front that offsets count", zip([{ ...a, before: join("PK\x03\x04junk") }]), "ZIP_DAMAGED"],
  ["another CRC behind the data", later(descriptor(crcOfA + 1, 5)), "ZIP_DAMAGED"],
  ["another size behind the data", later(descriptor(crcOfA, 6)), "ZIP_DAMAGED"],
  ["another large size behind the data", later(descriptor(crcOfA, 6, { wide: true })), "ZIP_DAMAGED"],
  ["half of what follows the data", later(descriptor(crcOfA, 5).subarray(0, 9)), "ZIP_DAMAGED"],
  ["nothing behind the data", later(join()), "ZIP_DAMAGED"],
  ["another disk", edited("PK\x05\x06", 4, 1), "ZIP_DAMAGED"],
  ["count too small", edited("PK\x05\x06", 10, 1), "ZIP_DAMAGED"],
  ["local signature", edited("PK\x03\x04", 0, 0), "ZIP_DAMAGED"],
  ["local name differs", zip([{ ...a, localName: "x/z" }]), "ZIP_DAMAGED"],
  ["local size differs", zip([{ ...a, localSize: 4 }]), "ZIP_DAMAGED"],
  ["size past the next entry", zip([{ ...a, size: 99 }, b]), "ZIP_DAMAGED"],
  ["local extra past the next entry", edited("PK\x03\x04", 28, 9), "ZIP_DAMAGED"],
  ["unknown flag", zip([{ ...a, flags: 0x20 }]), "ZIP_DAMAGED"],
  ["compressed", zip([{ ...a, method: 8 }]), "ZIP_COMPRESSED"],
  ["encrypted", zip([{ ...a, flags: 1 }]), "ZIP_ENCRYPTED"],
  ["strongly encrypted", zip([{ ...a, flags: 0x41 }]), "ZIP_ENCRYPTED"],
  ["wrong CRC", zip([{ ...a, crc: 1 }]), "ZIP_CRC"],
  ["two of a name", zip([a, a]), "ZIP_BAD_NAME"],
  ["absolute", zip([{ ...a, name: "/a" }]), "ZIP_BAD_NAME"],
  ["parent", zip([{ ...a, name: "x/../../a" }]), "ZIP_BAD_NAME"],
  ["drive", zip([{ ...a, name: "c:a" }]), "ZIP_BAD_NAME"],
  ["backslash", zip([{ ...a, name: "x\\a" }]), "ZIP_BAD_NAME"],
  ["NUL", zip([{ ...a, name: "x\u0000a" }]), "ZIP_BAD_NAME"],
  ["empty", zip([{ ...a, name: "" }]), "ZIP_BAD_NAME"],
  ["ZIP64 of another count", largeZip(({ end }) => end.writeBigUInt64LE(2n, 32)), "ZIP_DAMAGED"],
  ["ZIP64 of 2^60 entries", largeZip(({ end }) => end.fill(16, 24, 40)), "ZIP_TOO_LARGE"],
  ["ZIP64 size of 2^64 - 1", largeZip(({ extra }) => extra.fill(255, 4, 20)), "ZIP_DAMAGED"],
  ["ZIP64 field too short", largeZip(({ extra }) => extra.writeUInt16LE(8, 2)), "ZIP_DAMAGED"],
  ["ZIP64 field missing", largeZip(({ extra }) => extra.writeUInt16LE(2, 0)), "ZIP_DAMAGED"],
  ["ZIP64 place elsewhere", largeZip(({ locator }) => locator.writeBigUInt64LE(0n, 8)), "ZIP_DAMAGED"],
])("refuses: %s", async (_, bytes, code) => {
  expect(await codeOf(() => unzip(bytes))).toBe(code);
});

test("every damage to a small archive", async () => {
  await readDamaged(zip([a, b]), unzip, /^(ZIP_|FILE_TRUNCATED)/);
  await readDamaged(largeZip(), unzip, /^(ZIP_|FILE_TRUNCATED)/);
});

test("an entry too large for memory is refused", async () => {
  const data = deflateSync(join("hello"));
  // the local header leaves the sizes to what follows the data
  const source = bytesSource(zip([{ name: "x/c", data, method: 8, flags: 8, localSize: 0 }]));
  const entry = (await readZipDirectory(source, { deflate: true })).get("x/c") as ZipEntry;
  const codes = [2 ** 52, 2 ** 60].map((sizeBytes) =>
    codeOf(() => readEntry(source, { ...entry, sizeBytes })),
  );
  expect(await Promise.all(codes)).toEqual(["FILE_TOO_LARGE", "FILE_TOO_LARGE"]);
});
