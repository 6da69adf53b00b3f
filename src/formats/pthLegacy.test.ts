/** Checkpoints in the form before PyTorch 1.6: a stream of pickles, then the data. */
import { describe, expect, test } from "vitest";
import { readPth } from "./pth.ts";
import { codeOf, readDamaged } from "./testing/hostile.ts";
import { join, op, torchLegacy } from "./testing/torchFile.ts";

const data = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
const w = (value: Uint8Array) => op.pickle(op.dict(op.text("w"), value));

describe("the old form", () => {
  const root = w(op.tensor(op.storage("FloatStorage", "0", 6), 0, [6], [1]));
  const empty = w(op.int(1));
  test("is read", async () => {
    expect((await readPth(torchLegacy(root, [["0", 6, data]]))).get("w")?.data).toEqual(
      Float32Array.of(1, 2, 3, 4, 5, 6),
    );
  });
  test.each<[string, Uint8Array, string]>([
    ["cut off", torchLegacy(root, [["0", 6, data.slice(0, 23)]]), "FILE_TRUNCATED"],
    ["cut off before a length", torchLegacy(root, [["0", 6, data]]).slice(0, -27), "FILE_TRUNCATED"],
    ["trailing", torchLegacy(root, [["0", 6, join(data, 0)]]), "PTH_TRAILING_BYTES"],
    ["another length", torchLegacy(root, [["0", 5, data]]), "PTH_BAD_STORAGE"],
    ["a storage missing", torchLegacy(root, []), "PTH_BAD_STORAGE"],
    [
      "twice",
      torchLegacy(root, [
        ["0", 6, data],
        ["0", 6, data],
      ]),
      "PTH_BAD_STORAGE",
    ],
    ["unknown", torchLegacy(empty, [["0", 6, data]]), "PTH_BAD_STORAGE"],
    ["big-endian", torchLegacy(root, [["0", 6, data]], false), "PTH_BIG_ENDIAN"],
  ])("refuses: %s", async (_, bytes, code) => {
    expect(await codeOf(() => readPth(bytes))).toBe(code);
  });

  test("every damage to a small one", async () => {
    const small = w(op.tensor(op.storage("ByteStorage", "0", 2), 0, [2], [1]));
    const bytes = torchLegacy(small, [["0", 2, Uint8Array.of(1, 2)]]);
    await readDamaged(bytes, readPth, /^(PTH_|PICKLE_|FILE_TRUNCATED)/);
  });
});
