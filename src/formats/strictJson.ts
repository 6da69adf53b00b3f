/**
 * JSON for hostile files: what two readers could understand differently is refused. Reads bytes; objects become Maps;
 * numbers keep their spelling, so that an integer can be asked for by its spelling (`jsonInteger`). Refused beyond RFC 8259:
 * duplicate keys, invalid UTF-8 and byte order marks, lone surrogates, nesting and sizes beyond the caps.
 */
import { NextxError } from "../tensor/errors.ts";

/** Value of a hexadecimal digit's byte; -1 for others. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** A number as it is spelled in the file. */
export class JsonNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
  /** Nearest double; infinite when too large. */
  get value(): number {
    return Number(this.text);
  }
}

export type StrictJson =
  | null
  | boolean
  | string
  | JsonNumber
  | readonly StrictJson[]
  | ReadonlyMap<string, StrictJson>;

export interface StrictJsonLimits {
  /** Deepest nesting of arrays and objects; default 64. */
  readonly maxDepth?: number;
  /** Most values (of any kind) in the whole text; default 4 million. */
  readonly maxValues?: number;
  /** Most members of one object; default 1 million. */
  readonly maxMembers?: number;
  /** Most items of one array; as many as there may be values when absent. */
  readonly maxItems?: number;
}

/**
 * Parses one JSON value with white space around it.
 * @throws NextxError JSON_SYNTAX, JSON_NOT_UTF8, JSON_DUPLICATE_KEY, JSON_TOO_DEEP, JSON_TOO_LARGE, JSON_LONG_ARRAY; `path`
 * is the byte offset
 */
export function parseStrictJson(bytes: Uint8Array, limits: StrictJsonLimits = {}): StrictJson {
  return new Parser(bytes, limits).document();
}

/**
 * An integer spelled as one (no fraction, exponent, or minus zero) within 53 bits; undefined for anything else.
 */
export function jsonInteger(value: StrictJson | undefined): number | undefined {
  if (!(value instanceof JsonNumber) || !/^(0|-?[1-9]\d{0,15})$/.test(value.text)) return undefined;
  return Number.isSafeInteger(value.value) ? value.value : undefined;
}

/** Whether a value is an object. */
export function isJsonObject(value: StrictJson | undefined): value is ReadonlyMap<string, StrictJson> {
  return value instanceof Map;
}

const quote = 0x22;
const backslash = 0x5c;
/** Parts of a string that are joined at once. */
const blockParts = 4096;
const escapes: ReadonlyMap<number, string> = new Map(
  Object.entries({ '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" }).map(
    ([letter, text]) => [letter.charCodeAt(0), text],
  ),
);

class Parser {
  private readonly bytes: Uint8Array;
  private readonly maxDepth: number;
  private readonly maxMembers: number;
  private readonly maxItems: number;
  private valuesLeft: number;
  private at = 0;
  private readonly decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(bytes: Uint8Array, limits: StrictJsonLimits) {
    this.bytes = bytes;
    this.maxDepth = limits.maxDepth ?? 64;
    this.maxMembers = limits.maxMembers ?? 1_000_000;
    this.maxItems = limits.maxItems ?? Number.POSITIVE_INFINITY;
    this.valuesLeft = limits.maxValues ?? 4_000_000;
  }

  document(): StrictJson {
    const value = this.value(0);
    this.space();
    if (this.at < this.bytes.length) throw this.syntax("text after the end of the value");
    return value;
  }

  private value(depth: number): StrictJson {
    this.space();
    this.valuesLeft -= 1;
    if (this.valuesLeft < 0) throw this.error("JSON_TOO_LARGE", "more values than the limit allows");
    switch (this.bytes[this.at]) {
      case 0x7b:
        return this.object(depth + 1);
      case 0x5b:
        return this.array(depth + 1);
      case quote:
        return this.string();
      case 0x74:
        return this.word("true", true);
      case 0x66:
        return this.word("false", false);
      case 0x6e:
        return this.word("null", null);
      default:
        return this.number();
    }
  }

  private object(depth: number): ReadonlyMap<string, StrictJson> {
    this.enter(depth);
    const members = new Map<string, StrictJson>();
    if (this.closes(0x7d)) return members;
    do {
      this.space();
      const start = this.at;
      if (this.bytes[this.at] !== quote) throw this.syntax("a key in quotes expected");
      const key = this.string();
      if (members.has(key)) {
        this.at = start;
        throw this.error("JSON_DUPLICATE_KEY", `the key ${JSON.stringify(key.slice(0, 100))} comes twice`);
      }
      this.space();
      if (this.bytes[this.at] !== 0x3a) throw this.syntax('":" expected');
      this.at += 1;
      members.set(key, this.value(depth));
      if (members.size > this.maxMembers)
        throw this.error("JSON_TOO_LARGE", "an object with too many members");
    } while (this.continues(0x7d));
    return members;
  }

  private array(depth: number): readonly StrictJson[] {
    this.enter(depth);
    const items: StrictJson[] = [];
    if (this.closes(0x5d)) return items;
    do {
      if (items.length === this.maxItems)
        throw this.error("JSON_LONG_ARRAY", `an array of more than ${this.maxItems} items`);
      items.push(this.value(depth));
    } while (this.continues(0x5d));
    return items;
  }

  private enter(depth: number): void {
    if (depth > this.maxDepth) throw this.error("JSON_TOO_DEEP", `nested deeper than ${this.maxDepth}`);
    this.at += 1;
  }

  private closes(end: number): boolean {
    this.space();
    if (this.bytes[this.at] !== end) return false;
    this.at += 1;
    return true;
  }

  /** After a member: true at a comma, false at the end. */
  private continues(end: number): boolean {
    if (this.closes(end)) return false;
    if (this.bytes[this.at] !== 0x2c) throw this.syntax(`"," or "${String.fromCharCode(end)}" expected`);
    this.at += 1;
    return true;
  }

  private word<T>(text: string, value: T): T {
    for (let i = 0; i < text.length; i++) {
      if (this.bytes[this.at + i] !== text.charCodeAt(i)) throw this.syntax("unknown word");
    }
    this.at += text.length;
    return value;
  }

  private number(): JsonNumber {
    const start = this.at;
    let text = "";
    for (let byte = this.bytes[start]; isNumberByte(byte); byte = this.bytes[this.at]) {
      if (text.length >= 64) throw this.syntax("a number of more than 64 characters");
      text += String.fromCharCode(byte as number); // a number's byte is there
      this.at += 1;
    }
    if (!/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text)) {
      this.at = start;
      throw this.syntax("a value expected");
    }
    return new JsonNumber(text);
  }

  private string(): string {
    const opening = this.at;
    this.at += 1;
    const first = this.plainText();
    const text = this.bytes[this.at] === backslash ? first + this.escapedText() : first;
    // Only escapes can spell half of a pair: the decoder refuses it as UTF-8.
    if (this.at - opening - 1 !== text.length && /\p{Surrogate}/u.test(text)) {
      throw this.syntax("half of a surrogate pair");
    }
    this.at += 1;
    return text;
  }

  /** What follows from an escape on. Short parts are joined in blocks: each alone takes many times its bytes. */
  private escapedText(): string {
    const blocks: string[] = [];
    let parts: string[] = [];
    while (this.bytes[this.at] === backslash) {
      parts.push(this.escape(), this.plainText());
      if (parts.length < blockParts) continue;
      blocks.push(parts.join(""));
      parts = [];
    }
    return blocks.join("") + parts.join("");
  }

  /** Text up to the next quote or backslash. */
  private plainText(): string {
    const start = this.at;
    let isAscii = true;
    for (;;) {
      const byte = this.bytes[this.at];
      if (byte === undefined || byte < 0x20) throw this.syntax("a string without its end, or a raw control");
      if (byte === quote || byte === backslash) break;
      if (byte >= 0x80) isAscii = false;
      this.at += 1;
    }
    if (isAscii && this.at - start < 64) {
      let text = "";
      for (let i = start; i < this.at; i++) text += String.fromCharCode(this.bytes[i] as number); // in range
      return text;
    }
    try {
      return this.decoder.decode(this.bytes.subarray(start, this.at));
    } catch (cause) {
      throw this.error("JSON_NOT_UTF8", "text that is not UTF-8", cause);
    }
  }

  private escape(): string {
    const letter = this.bytes[this.at + 1] ?? 0;
    if (letter !== 0x75) {
      const text = escapes.get(letter);
      if (text === undefined) throw this.syntax("unknown escape");
      this.at += 2;
      return text;
    }
    let code = 0;
    for (let i = 2; i < 6; i++) {
      const digit = hexDigit(this.bytes[this.at + i] ?? 0);
      if (digit < 0) throw this.syntax("four hexadecimal digits expected");
      code = 16 * code + digit;
    }
    this.at += 6;
    return String.fromCharCode(code);
  }

  private space(): void {
    for (;;) {
      const byte = this.bytes[this.at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.at += 1;
    }
  }

  private syntax(what: string): NextxError {
    return this.error("JSON_SYNTAX", what);
  }

  private error(code: string, what: string, cause?: unknown): NextxError {
    return new NextxError(code, `JSON, byte ${this.at}: ${what}.`, { path: `byte ${this.at}`, cause });
  }
}

/** Digits and what else numbers are spelled with. */
function isNumberByte(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  if (byte >= 0x30 && byte <= 0x39) return true;
  return byte === 0x2b || byte === 0x2d || byte === 0x2e || byte === 0x45 || byte === 0x65;
}
