/** Which of the nested dicts of a checkpoint is meant, and how many of them there may be. */
import { describe, expect, test } from "vitest";
import { bytesSource } from "./byteSource.ts";
import { openPth, readPth } from "./pth.ts";
import { codeOf } from "./testing/hostile.ts";
import { join, op, torchZip } from "./testing/torchFile.ts";

const data = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
const tensor = op.tensor(op.storage("FloatStorage", "0", 6), 0, [6], [1]);
const read = async (bytes: Uint8Array, key?: string) => readPth(bytes, key === undefined ? {} : { key });
const refusal = (bytes: Uint8Array, key?: string) => codeOf(() => read(bytes, key));

describe("which dict", () => {
  const dict = (...parts: Uint8Array[]) => torchZip(op.pickle(op.dict(...parts)), { 0: data });
  const inner = op.dict(op.text("w"), tensor);

  test("the only one needs no key", async () => {
    const bytes = dict(op.text("epoch"), op.int(3), op.text("model"), op.dict(op.text("net.0"), inner));
    expect([...(await read(bytes)).keys()]).toEqual(["w"]);
    expect([...(await read(bytes, "model.net.0")).keys()]).toEqual(["w"]);
  });

  test("several need one, and are listed", async () => {
    const bytes = dict(op.text("w"), tensor, op.text("ema"), inner);
    await expect(read(bytes)).rejects.toThrow(
      expect.objectContaining({ code: "PTH_KEY_NEEDED", hint: expect.stringContaining('"ema" (1 tensors)') }),
    );
    expect((await read(bytes, "")).size).toBe(1);
    expect(await refusal(bytes, "model")).toBe("PTH_NO_KEY");
  });

  test("dicts inside lists, none at all, names that collide", async () => {
    expect((await read(dict(op.text("models"), op.list(inner)), "models.0")).size).toBe(1);
    expect(await refusal(dict(op.text("epoch"), op.int(1)))).toBe("PTH_NO_TENSORS");
    expect(await refusal(torchZip(op.pickle(tensor), { 0: data }))).toBe("PTH_NO_TENSORS");
    expect(await refusal(dict(op.int(1), tensor, op.text("1"), tensor))).toBe("PTH_DUPLICATE_NAME");
  });

  test("long keys above tensors are refused, one or all together; others do not matter", async () => {
    const below = (length: number, value: Uint8Array) => dict(op.text("k".repeat(length)), value);
    expect(await refusal(below(4096, inner))).toBe("ok");
    expect(await refusal(below(4097, inner))).toBe("PTH_TOO_LARGE");
    expect(await refusal(below(4097, op.list(inner)))).toBe("PTH_TOO_LARGE");
    expect(await refusal(below(4097, op.dict(op.text("epoch"), op.int(1))))).toBe("PTH_NO_TENSORS");
    const many = (count: number, levels: number) => {
      let dicts = op.list(...Array.from({ length: count }, () => join("}", op.text("w"), "h", 0, "s")));
      for (let i = 0; i < levels; i++) dicts = op.dict(op.text("k".repeat(4096)), dicts);
      return torchZip(op.pickle(tensor, "q", 0, dicts, 0x86), { 0: data });
    };
    expect(await refusal(many(1, 3))).toBe("PTH_TOO_LARGE");
    expect(await refusal(many(8400, 2))).toBe("PTH_TOO_LARGE");
  }, 30_000);

  test("long names of tensors are refused, one or all together", async () => {
    expect(await refusal(dict(op.text("w".repeat(4096)), tensor))).toBe("ok");
    expect(await refusal(dict(op.text("w".repeat(4097)), tensor))).toBe("PTH_TOO_LARGE");
    const [a, b] = [join(op.text("a".repeat(4096)), "q", 1), join(op.text("b".repeat(4096)), "q", 2)];
    const dicts = (count: number) =>
      op.list(...Array.from({ length: count }, () => join("}h", 1, "h", 0, "sh", 2, "h", 0, "s")));
    const bytes = (count: number) =>
      torchZip(op.pickle(tensor, "q", 0, op.tuple(a, b, dicts(count)), 0x86), { 0: data });
    expect(await refusal(bytes(8000), "none")).toBe("PTH_NO_KEY");
    expect(await refusal(bytes(8200), "none")).toBe("PTH_TOO_LARGE");
  });

  test("one dict under several keys is there under each", async () => {
    const bytes = dict(op.text("model"), join(inner, "q", 0), op.text("ema"), join("h", 0));
    const { keys } = await openPth(bytesSource(bytes));
    expect(keys).toEqual([
      { key: "model", tensors: 1 },
      { key: "ema", tensors: 1 },
    ]);
    expect(await read(bytes, "ema")).toEqual(await read(bytes, "model"));
    expect(await refusal(bytes)).toBe("PTH_KEY_NEEDED");
  });

  test("keys that look the same are told apart", async () => {
    const other = op.dict(op.text("v"), tensor);
    const bytes = dict(
      op.text("a"),
      op.dict(op.text("b"), inner),
      op.text("a.b"),
      other,
      op.text("a.b#2"),
      inner,
    );
    const { keys } = await openPth(bytesSource(bytes));
    expect(keys.map(({ key }) => key)).toEqual(["a.b", "a.b#2", "a.b#2#2"]);
    expect([...(await read(bytes, "a.b")).keys()]).toEqual(["w"]);
    expect([...(await read(bytes, "a.b#2")).keys()]).toEqual(["v"]);
    const root = dict(op.text("w"), tensor, op.text(""), other);
    expect([...(await read(root, "#2")).keys()]).toEqual(["v"]);
  });

  /** The last of values that are put at one key of the root, each after the other. */
  const lastOf = (...values: Uint8Array[]) =>
    torchZip(op.pickle("}", ...values.map((value) => join(op.text("x"), value, "s"))), { 0: data });
  const number = (i: number) => new Uint8Array(Uint32Array.of(i).buffer);
  const [put, get] = [(i: number) => join("r", number(i)), (i: number) => join("j", number(i))];

  test("a hundred levels of dicts; more than a pickle nests are refused", async () => {
    let nested = inner;
    for (let i = 0; i < 100; i++) nested = op.dict(op.text("d"), nested);
    expect((await read(torchZip(op.pickle(nested), { 0: data }))).size).toBe(1);
    // Every dict is there before it is put into the one above: nesting that the pickle's own count does not see.
    const chain = (count: number, last: Uint8Array) => {
      const dicts = Array.from({ length: count }, (_, i) => join("}", put(i)));
      const links = dicts.slice(1).map((_, i) => join(get(i), op.text("d"), get(i + 1), "s"));
      return lastOf(...dicts, ...links, join(get(count - 1), last), get(0));
    };
    const weights = join(op.text("w"), tensor, "s");
    expect(await refusal(chain(200, weights))).toBe("ok");
    expect(await refusal(chain(300, weights))).toBe("PTH_TOO_DEEP");
    expect(await refusal(chain(10_000, join()))).toBe("PTH_TOO_DEEP");
  });

  test("dicts that double at every level are refused when they hold tensors, at once", async () => {
    const doubled = (start: Uint8Array) => {
      const levels = Array.from({ length: 60 }, (_, i) =>
        join("}", put(i + 1), "(", op.text("a"), get(i), op.text("b"), get(i), "u"),
      );
      return lastOf(join("}", put(0), start), ...levels);
    };
    expect(await refusal(doubled(join(op.text("w"), tensor, "s")))).toBe("PTH_TOO_LARGE");
    expect(await refusal(doubled(join()))).toBe("PTH_NO_TENSORS");
  });

  test("one large dict under very many keys is refused", async () => {
    const entries = Array.from({ length: 20_000 }, (_, i) => join(op.text(`w${i}`), get(0)));
    const large = join("}", put(1), "(", op.text("w"), tensor, put(0), ...entries, "u");
    const under = (count: number) =>
      dict(op.text("k"), large, ...Array.from({ length: count }, (_, i) => join(op.text(`k${i}`), get(1))));
    expect(await refusal(under(40), "k7")).toBe("ok");
    expect(await refusal(under(60), "k7")).toBe("PTH_TOO_LARGE");
  }, 30_000);

  test("ten levels of dicts, and a dict that holds itself", async () => {
    let nested = inner;
    for (let i = 0; i < 10; i++) nested = op.dict(op.text("d"), nested);
    expect((await read(torchZip(op.pickle(nested), { 0: data }))).size).toBe(1);
    const cyclic = op.pickle("}q", 0, "(", op.text("self"), "h", 0, op.text("w"), tensor, "u");
    expect((await read(torchZip(cyclic, { 0: data }))).size).toBe(1);
  });
});

test("one tensor under very many names, and very many dicts, are refused", async () => {
  const many = (count: number, item: Uint8Array) => {
    const pairs = Array.from({ length: count }, (_, i) => [op.text(`k${i}`), item]).flat();
    return torchZip(op.pickle(Buffer.concat([join("}("), ...pairs, join("u")])), { 0: data });
  };
  expect(await refusal(many(100_001, tensor))).toBe("PTH_TOO_LARGE");
  expect(await refusal(many(10_001, op.dict(op.text("w"), tensor)), "k10000")).toBe("PTH_TOO_LARGE");
}, 30_000);
