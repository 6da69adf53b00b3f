import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readPickle } from "./pickle.ts";
import {
  PickleClass,
  PickleDict,
  PickleGlobal,
  PickleList,
  PickleOpaque,
  type PickleTable,
  PickleTuple,
  type PickleValue,
} from "./pickleValues.ts";
import { codeOf, readDamaged } from "./testing/hostile.ts";
import { join, op } from "./testing/torchFile.ts";

const ordered = new PickleGlobal("collections.OrderedDict", () => new PickleDict(true));
const named = new PickleGlobal("torch.float32");
const settings = new PickleClass("argparse.Namespace");
const table: PickleTable = {
  globals: new Map([ordered, named, settings].map((global) => [global.name, global])),
  persistent: (id) => id,
};
const refusal = (bytes: Uint8Array, limits = {}) => codeOf(() => readPickle(bytes, table, 0, limits));

/** As JSON with tags, to compare with Python. */
function plain(value: PickleValue): unknown {
  if (value instanceof PickleTuple) return { tuple: value.items.map(plain) };
  if (value instanceof PickleList) return value.items.map(plain);
  if (value instanceof PickleDict)
    return { dict: [...value.entries].map(([key, item]) => [String(key), plain(item)]) };
  if (value instanceof Uint8Array) return { bytes: [...value] };
  return typeof value === "bigint" ? { big: String(value) } : value;
}

const python = (() => {
  try {
    execFileSync("python3", ["--version"], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
})();

const script = `
import pickle, json
value = {"a": [1, -1, 255, 65536, -2**31, 2**31, 2**53, 2**63, -2**70, 0.5, True, False, None], "t": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
  "text": "\\u00e9\\U0001f600" * 100, "empty": [{}, [], ""], 7: {"x": {"y": 1}}, "many": list(range(3000)), "big": {str(i): i for i in range(2500)}}
value["again"] = value["t"]
print(json.dumps([[p, pickle.dumps(value, protocol=p).hex()] for p in (2, 3, 4, 5)]))
`;

describe.skipIf(!python)("what Python writes", () => {
  test("reads protocols 2 to 5 alike", () => {
    const out = execFileSync("python3", ["-c", script], { maxBuffer: 2 ** 26, encoding: "utf8" });
    const results = (JSON.parse(out) as [number, string][]).map(([, hex]) =>
      plain(readPickle(Buffer.from(hex, "hex"), table).value),
    );
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    expect(results[3]).toEqual(results[0]);
    const { dict } = results[0] as { dict: [string, unknown][] };
    const members = new Map(dict);
    expect(members.get("a")).toEqual([
      1,
      -1,
      255,
      65536,
      -(2 ** 31),
      2 ** 31,
      { big: String(2 ** 53) },
      { big: String(2n ** 63n) },
      { big: String(-(2n ** 70n)) },
      0.5,
      true,
      false,
      null,
    ]);
    expect(members.get("t")).toEqual(members.get("again"));
    expect(members.get("text")).toBe("\u00e9\u{1f600}".repeat(100));
    expect(members.get("7")).toEqual({ dict: [["x", { dict: [["y", 1]] }]] });
    expect((members.get("many") as unknown[]).length).toBe(3000);
  });

  test("refuses protocols 0 and 1, objects and functions", async () => {
    const lines = `
import pickle, os, types, datetime, functools
class Reduce:
    def __init__(self, *r): self.r = r
    def __reduce__(self): return self.r
values = [Reduce(os.system, ("echo",)), Reduce(eval, ("1",)), Reduce(getattr, (1, "real")), types.SimpleNamespace(a=1), datetime.date(2020, 1, 1),
  Reduce(functools.partial, (print,)), Reduce(exec, ("1",)), Reduce(__import__, ("os",)), Reduce(open, ("x", "w")), Reduce(type, ("x", (), {}))]
print("\\n".join(pickle.dumps(v, protocol=p).hex() for v in values for p in (2, 3, 4, 5)))
print("-")
print("\\n".join(pickle.dumps([1, "a", 2.5], protocol=p).hex() for p in (0, 1)))`;
    const out = execFileSync("python3", ["-c", lines], { encoding: "utf8" });
    const [exploits = "", old = ""] = out.trim().split("\n-\n");
    for (const hex of exploits.split("\n")) {
      expect(await refusal(Buffer.from(hex, "hex"))).toBe("PICKLE_FORBIDDEN_GLOBAL");
    }
    expect(await refusal(Buffer.from(old.split("\n")[0] ?? "", "hex"))).toBe("PICKLE_BAD_OPCODE");
  });
});

test.each<[string, Uint8Array, string]>([
  ["nothing", join(), "TRUNCATED"],
  ["no end", join(0x80, 2, "N"), "TRUNCATED"],
  ["text cut off", join("X", 9, 0, 0, 0, "abc"), "TRUNCATED"],
  ["text of 2^64 bytes", join(0x8d, ...Array(8).fill(255), "."), "TRUNCATED"],
  ["name cut off", join("cposix\nsys"), "TRUNCATED"],
  ["unknown opcode", join(0xff, "."), "BAD_OPCODE"],
  ["protocol 6", join(0x80, 6, "N."), "BAD_OPCODE"],
  ["INST", join("(iposix\nsystem\n."), "BAD_OPCODE"],
  ["OBJ", join("(N", "o."), "BAD_OPCODE"],
  ["NEWOBJ of a name", join(op.global("torch", "float32"), ")", 0x81, "."), "FORBIDDEN_CALL"],
  ["NEWOBJ of a function", join(op.global("collections", "OrderedDict"), ")", 0x81, "."), "FORBIDDEN_CALL"],
  ["NEWOBJ of text", join(op.text("x"), ")", 0x81, "."), "FORBIDDEN_CALL"],
  ["NEWOBJ with arguments", join(op.global("argparse", "Namespace"), "N", 0x85, 0x81, "."), "FORBIDDEN_CALL"],
  [
    "a class called with arguments",
    op.pickle(op.call(op.global("argparse", "Namespace"), "N")),
    "FORBIDDEN_CALL",
  ],
  ["attributes of a class", op.pickle(op.global("argparse", "Namespace"), "}b"), "FORBIDDEN_CALL"],
  [
    "attributes that are no dict",
    join(op.global("argparse", "Namespace"), ")", 0x81, "]b."),
    "FORBIDDEN_CALL",
  ],
  ["NEWOBJ_EX", join("N)}", 0x92, "."), "BAD_OPCODE"],
  ["EXT1", join(0x82, 1, "."), "BAD_OPCODE"],
  ["PERSID", join("P1\n."), "BAD_OPCODE"],
  ["GET of text", join("N", "g0\n."), "BAD_OPCODE"],
  ["NEXT_BUFFER", join(0x97, "."), "BAD_OPCODE"],
  ["stop on nothing", join("."), "UNFINISHED"],
  ["two values", join("NN."), "UNFINISHED"],
  ["open mark", join("(N."), "UNFINISHED"],
  ["tuple from nothing", join("t."), "BAD_STACK"],
  ["pair from one", join("N", 0x86, "."), "BAD_STACK"],
  ["below the mark", join("N(", 0x85, "."), "BAD_STACK"],
  ["key without value", join("}(Nu."), "BAD_STACK"],
  ["memo of nothing", join("q", 0, "."), "BAD_STACK"],
  ["never stored", join("h", 5, "."), "BAD_MEMO"],
  ["text not UTF-8", join("X", 1, 0, 0, 0, 0xff, "."), "BAD_TEXT"],
  ["long name", join("c", "a".repeat(1001), "\nb\n."), "BAD_TEXT"],
  ["append to a tuple", join(")Na."), "BAD_VALUE"],
  ["append to a dict", join("}Na."), "BAD_VALUE"],
  ["set in a list", join("]NNs."), "BAD_VALUE"],
  ["a name of numbers", join("NN", 0x93, "."), "BAD_VALUE"],
  ["key None", join("}NNs."), "BAD_KEY"],
  ["key a tuple", join("})Ns."), "BAD_KEY"],
  ["system", op.pickle(op.call(op.global("posix", "system"), op.text("id"))), "FORBIDDEN_GLOBAL"],
  ["system by stack", join(op.text("os"), op.text("system"), 0x93, "."), "FORBIDDEN_GLOBAL"],
  ["prototype", op.pickle(op.global("__proto__", "constructor")), "FORBIDDEN_GLOBAL"],
  ["attribute path", op.pickle(op.global("collections", "OrderedDict.fromkeys")), "FORBIDDEN_GLOBAL"],
  ["call of a name", op.pickle(op.call(op.global("torch", "float32"))), "FORBIDDEN_CALL"],
  ["call of text", op.pickle(op.call(op.text("eval"))), "FORBIDDEN_CALL"],
  ["call with a list", op.pickle(op.global("collections", "OrderedDict"), "]R"), "FORBIDDEN_CALL"],
  ["attributes of a list", op.pickle("]}b"), "FORBIDDEN_CALL"],
  ["attributes of a dict", op.pickle("}}b"), "FORBIDDEN_CALL"],
  ["attributes of a name", op.pickle(op.global("torch", "float32"), "}b"), "FORBIDDEN_CALL"],
  ["integer of 2^31 bytes", join(0x8b, 0, 0, 0, 0x80, "."), "TOO_LARGE"],
  ["nested tuples", join(")", "\x85".repeat(300), "."), "TOO_DEEP"],
  ["nested lists", join("]".repeat(300), "a".repeat(299), "."), "TOO_DEEP"],
  ["nested marks", join("(".repeat(600)), "TOO_DEEP"],
])("refuses: %s", async (_, bytes, code) => {
  expect(await refusal(bytes)).toBe(`PICKLE_${code}`);
});

test("caps opcodes, stack and memo", async () => {
  expect(await refusal(join("NNNN"), { maxOpcodes: 3 })).toBe("PICKLE_TOO_LARGE");
  expect(await refusal(join("NNNN"), { maxStack: 3 })).toBe("PICKLE_TOO_LARGE");
  expect(await refusal(join("Nq", 0, "q", 1, "."), { maxMemo: 1 })).toBe("PICKLE_TOO_LARGE");
  expect(await refusal(join("N".repeat(2_000_001)))).toBe("PICKLE_TOO_LARGE");
});

test.each<[string, Uint8Array]>([
  ["lists", join("]", "]a".repeat(5), ".")],
  ["dicts", join("]", "}a".repeat(5), ".")],
  ["tuples", join("]", "N\x85a".repeat(5), ".")],
  ["bytes", join("]", "C\x00a".repeat(5), ".")],
  ["results of calls", join("]", ...Array.from({ length: 5 }, () => join(op.ordered(), "a")), ".")],
  ["objects", join("]", ...Array(5).fill(join(op.global("argparse", "Namespace"), ")\x81a")), ".")],
])("caps objects: %s", async (_, bytes) => {
  expect(await refusal(bytes, { maxObjects: 5 })).toBe("PICKLE_TOO_LARGE");
  expect(await refusal(bytes, { maxObjects: 6 })).toBe("ok");
});

test("millions of empty containers are refused", async () => {
  expect(await refusal(join("]", "}a".repeat(1_000_000), "."))).toBe("PICKLE_TOO_LARGE");
  expect(await refusal(join("]", ")a".repeat(1_000_000), "."))).toBe("ok"); // one empty tuple for all
});

test("an object of a known class keeps nothing, however it is made", () => {
  const [made, called] = [
    join(op.global("argparse", "Namespace"), ")\x81"),
    op.call(op.global("argparse", "Namespace")),
  ];
  for (const object of [made, called]) {
    const { value } = readPickle(op.pickle(object, "q", 0, op.dict(op.text("lr"), "N"), "b"), table);
    expect(value).toEqual(new PickleOpaque("argparse.Namespace"));
  }
});

test("a list may hold itself, by the memo", () => {
  const { value } = readPickle(join("]q", 0, "h", 0, "a."), table);
  expect(value instanceof PickleList && value.items[0] === value).toBe(true);
});

test("attributes of an OrderedDict are dropped, its __proto__ is a key", () => {
  const bytes = op.pickle(
    op.ordered(),
    "(",
    op.text("__proto__"),
    op.dict(op.text("x"), "N"),
    "u",
    op.dict(op.text("_metadata"), "N"),
    "b",
  );
  const { value, end } = readPickle(bytes, table);
  expect(end).toBe(bytes.length);
  expect(plain(value)).toEqual({ dict: [["__proto__", { dict: [["x", null]] }]] });
  expect(({} as { x?: unknown }).x).toBeUndefined();
});

test("reads from the middle and says where it ended", () => {
  const bytes = join("xx", op.pickle(op.int(5)), "yy");
  expect(readPickle(bytes, table, 2)).toEqual({ value: 5, end: bytes.length - 2 });
});

test("random opcodes give values or codes, never another exception", async () => {
  const opcodes = [
    ..."NJKMGXUCB()]}tlaedsuhjqrcRbQ.",
    "cargparse\nNamespace\n",
    "\x81",
    "\x80",
    "\x85",
    "\x86",
    "\x87",
    "\x88",
    "\x89",
    "\x8a",
    "\x8b",
    "\x8c",
    "\x8f",
    "\x90",
    "\x91",
    "\x93",
    "\x94",
    "\x95",
    "\x00",
    "\x01",
    "\n",
    "ccollections\nOrderedDict\n",
  ];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...opcodes), { maxLength: 40 }), async (letters) => {
      expect(await refusal(join(...letters, "."))).toMatch(/^(ok|PICKLE_\w+)$/);
    }),
    { numRuns: 5000 },
  );
});

test("every damage to a small pickle", async () => {
  const bytes = op.pickle(op.dict(op.text("a"), op.list(op.int(1), op.long(7)), op.text("b"), op.ordered()));
  await readDamaged(bytes, (damaged) => readPickle(damaged, table), /^PICKLE_/);
});
