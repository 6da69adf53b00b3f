/** Says from its first bytes what a file is: for choosing a reader, and for telling users what they gave instead. */

/** Kinds that we read, and the words for others. */
export interface FileKind {
  readonly kind: "safetensors" | "zip" | "pickle" | "json" | "other";
  /** Completes "the file is ...". */
  readonly words: string;
  readonly hint?: string;
}

/** Bytes of the file's start that `fileKind` wants, when there are as many. */
export const kindBytes = 512;

const lfsHint = "Only the pointer was downloaded: run `git lfs pull`, or download the file itself.";
const pageHint = "A download gave a web page instead of the file: open the link in a browser, or sign in.";

/** Starts as text (Latin-1), in the order they are tried. */
const starts: readonly (readonly [start: string, words: string, hint?: string])[] = [
  ["\x89PNG\r\n\x1a\n", "a PNG picture"],
  ["\xff\xd8\xff", "a JPEG picture"],
  ["GIF8", "a GIF picture"],
  ["version https://git-lfs", "a Git LFS pointer", lfsHint],
  ["GGUF", "a GGUF model", "GGUF is not read: get the model as .safetensors."],
  ["\x93NUMPY", "a NumPy array"],
  ["\x1f\x8b", "a gzip archive", "Unpack it first."],
  ["\x89HDF\r\n\x1a\n", "an HDF5 file"],
  ["%PDF", "a PDF"],
  ["7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it first."],
  ["BZh", "a bzip2 archive", "Unpack it first."],
  ["\xfd7zXZ", "an xz archive", "Unpack it first."],
  ["\x28\xb5\x2f\xfd", "a Zstandard archive", "Unpack it first."],
];

/** The kind of a file that starts with `start` (its first 512 bytes or all). */
export function fileKind(start: Uint8Array): FileKind {
  if (start.length === 0) return { kind: "other", words: "empty", hint: "Get it again." };
  if (looksLikeSafetensors(start)) return { kind: "safetensors", words: "a safetensors file" };
  const text = new TextDecoder("latin1").decode(start);
  if (text.startsWith("PK\x03\x04") || text.startsWith("PK\x05\x06"))
    return { kind: "zip", words: "a zip archive" };
  // A tar archive stands for PyTorch's oldest form; its reader says so.
  const isPickle = start[0] === 0x80 && start.length > 1 && (start[1] as number) <= 5; // it has two bytes
  if (isPickle || text.slice(257, 262) === "ustar") {
    return { kind: "pickle", words: "a pickle" };
  }
  for (const [magic, words, hint] of starts) {
    if (text.startsWith(magic)) return { kind: "other", words, ...(hint === undefined ? {} : { hint }) };
  }
  const trimmed = text.trimStart();
  if (/^<(!doctype|html|\?xml|head|body)/i.test(trimmed)) {
    return { kind: "other", words: "a web page (HTML)", hint: pageHint };
  }
  if (/^[[{]\s*["\]}[{\d]/.test(trimmed)) return { kind: "json", words: "JSON text" };
  const isText = start.every((byte) => byte >= 0x20 || (byte >= 0x09 && byte <= 0x0d));
  return { kind: "other", words: isText ? "text" : "of an unknown kind" };
}

/** A plausible header length, then an object. */
function looksLikeSafetensors(start: Uint8Array): boolean {
  if (start.length < 9) return false;
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  return length <= 100_000_000n && [0x7b, 0x20, 0x0a, 0x0d, 0x09].includes(start[8] as number); // long enough
}
