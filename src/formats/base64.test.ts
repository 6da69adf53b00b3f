import { expect, it } from "vitest";
import { fromBase64, toBase64 } from "./base64.ts";

it.each([0, 1, 2, 3, 0x8000, 0x8001, 100_000])(
  "keeps %i bytes, as every other writer spells them",
  (length) => {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 37) ^ (i >> 8));
    const text = toBase64(bytes);
    expect(text).toBe(Buffer.from(bytes).toString("base64"));
    expect(fromBase64(text)).toEqual(bytes);
  },
);
