/**
 * FNV-1a, 64 bit, by hand: the same in Node and the browser, synchronous, no dependency. For versions and for splitting
 * by name, not against an adversary. Source: RFC 9923 (The FNV Non-Cryptographic Hash Algorithm).
 */

/** A running FNV-1a hash of 64 bits. */
export class Fnv64 {
  #high = 0xcbf29ce4;
  #low = 0x84222325;

  /** Adds bytes, or the UTF-8 bytes of a text. */
  update(data: Uint8Array | string): this {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    let high = this.#high;
    let low = this.#low;
    for (const byte of bytes) {
      low = (low ^ byte) >>> 0;
      // times 2^40 + 0x1b3, modulo 2^64
      const product = low * 0x1b3;
      high = (Math.imul(high, 0x1b3) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0;
      low = product >>> 0;
    }
    this.#high = high;
    this.#low = low;
    return this;
  }

  /** 16 hexadecimal digits. */
  digest(): string {
    return [this.#high, this.#low].map((word) => word.toString(16).padStart(8, "0")).join("");
  }
}

/** FNV-1a of a text or of bytes as 16 hexadecimal digits. */
export function fnv64(data: Uint8Array | string): string {
  return new Fnv64().update(data).digest();
}
