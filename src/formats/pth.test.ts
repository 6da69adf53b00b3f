import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { bytesSource } from "./byteSource.ts";
import {
  bfloat16BitsToFloat32,
  float32ToBfloat16Bits,
  float32ToFloat16Bits,
  type HostTensor,
  hostTensor,
  tensorBytes,
  toFloat32,
} from "./hostTensor.ts";
import { openPth, readPth } from "./pth.ts";
import { codeOf, readDamaged } from "./testing/hostile.ts";
import { join, op, packed, torchZip, zip } from "./testing/torchFile.ts";

const fixture = (name: string) => readFileSync(new URL(`./testing/fixtures/${name}`, import.meta.url));
const bytesOf = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
const data = bytesOf(1, 2, 3, 4, 5, 6);
const storage = op.storage("FloatStorage", "0", 6);

/** A checkpoint of one tensor over six floats. */
const oneTensor = (shape: readonly number[], strides: readonly number[], offset = 0) =>
  torchZip(op.pickle(op.dict(op.text("w"), op.tensor(storage, offset, shape, strides))), { 0: data });
const read = async (bytes: Uint8Array, key?: string) => readPth(bytes, key === undefined ? {} : { key });
const refusal = (bytes: Uint8Array, key?: string) => codeOf(() => read(bytes, key));

describe("files that PyTorch wrote", () => {
  test("the old form holds the same tensors as the zip form", async () => {
    const legacy = await read(fixture("legacy.pth"));
    expect([...legacy.keys()]).toEqual(["pos_start", "lvl_1L", "head.bias"]);
    expect(legacy).toEqual(await read(fixture("nested.pth"), "trainer.var_wo_ddp"));
    expect(legacy.get("lvl_1L")?.dtype).toBe("I64");
  });

  test("dtypes, slices and transposed views", async () => {
    const file = await openPth(bytesSource(fixture("nested.pth")));
    expect(file.keys.map(({ key }) => key)).toEqual(["trainer", "trainer.vae_local", "trainer.var_wo_ddp"]);
    const dict = file.stateDict("trainer");
    expect(dict.skipped).toEqual(["vae_local", "var_wo_ddp"]);
    const tensors = await dict.readAll();
    const get = (name: string) => tensors.get(name) as HostTensor; // names of the fixture
    const transposed = toFloat32(get("transposed")); // [32, 48]
    const weight = Float32Array.from(
      { length: 48 * 32 },
      (_, i) => transposed[(i % 32) * 48 + Math.floor(i / 32)] ?? 0,
    );
    expect(get("transposed").shape).toEqual([32, 48]);
    expect(get("view")).toEqual(hostTensor("F32", [3, 32], weight.slice(64, 160)));
    expect(get("half")).toEqual(hostTensor("F16", [48, 32], float32ToFloat16Bits(weight)));
    expect(get("bf16")).toEqual(hostTensor("BF16", [48, 32], float32ToBfloat16Bits(weight)));
    expect(bfloat16BitsToFloat32(get("bf16").data as Uint16Array)[0]).toBeCloseTo(weight[0] ?? 0, 2);
    expect(get("f64").dtype).toBe("F64");
    expect(toFloat32(get("f64"))).toEqual(
      toFloat32((await read(fixture("legacy.pth"))).get("head.bias") as HostTensor),
    );
    expect(get("flag")).toEqual(hostTensor("BOOL", [2], Uint8Array.of(1, 0)));
    for (const name of tensors.keys()) expect(await dict.read(name)).toEqual(tensors.get(name));
    expect(await codeOf(() => dict.read("none"))).toBe("PTH_NO_TENSOR");
  });
});

test.each<[string, number[], number[], number, number[]]>([
  ["whole", [2, 3], [3, 1], 0, [1, 2, 3, 4, 5, 6]],
  ["transposed", [3, 2], [1, 3], 0, [1, 4, 2, 5, 3, 6]],
  ["every second", [3], [2], 1, [2, 4, 6]],
  ["scalar", [], [], 4, [5]],
  ["side of 1 with any stride", [1, 3], [99, 1], 3, [4, 5, 6]],
  ["empty with any stride", [0, 3], [99, 99], 6, []],
  ["repeated but small", [2, 2], [0, 1], 0, [1, 2, 1, 2]],
  ["64 axes", [...Array(63).fill(1), 6], Array(64).fill(1), 0, [1, 2, 3, 4, 5, 6]],
  ["overlapping windows", [2, 3], [1, 1], 0, [1, 2, 3, 2, 3, 4]],
])("a view: %s", async (_, shape, strides, offset, values) => {
  const tensor = (await read(oneTensor(shape, strides, offset))).get("w");
  expect(tensor).toEqual(hostTensor("F32", shape, Float32Array.from(values)));
});

const three = (...args: Uint8Array[]) =>
  op.pickle(op.dict(op.text("w"), op.call(op.global("torch._utils", "_rebuild_tensor_v3"), ...args)));

test("parameters, untyped storages, classes of tensors, buffers with attributes", async () => {
  const tensor = op.tensor(storage, 0, [6], [1]);
  const expected = hostTensor("F32", [6], Float32Array.of(1, 2, 3, 4, 5, 6));
  const wrapped = [
    op.call(op.global("torch._utils", "_rebuild_parameter"), tensor, 0x88, op.ordered()),
    op.call(op.global("torch._utils", "_rebuild_parameter_with_state"), tensor, 0x88, op.ordered(), "}"),
    op.call(
      op.global("torch._tensor", "_rebuild_from_type_v2"),
      op.global("torch._utils", "_rebuild_tensor_v2"),
      op.global("torch.nn.parameter", "Parameter"),
      op.tuple(storage, op.int(0), op.tuple(op.int(6)), op.tuple(op.int(1)), op.no, op.ordered()),
      "}",
    ),
  ];
  for (const value of wrapped) {
    const bytes = torchZip(op.pickle(op.dict(op.text("w"), value)), { 0: data });
    expect((await read(bytes)).get("w")).toEqual(expected);
  }
  const untyped = op.storage("UntypedStorage", "0", 24);
  const one = op.tuple(op.int(1));
  const pickle = three(
    untyped,
    op.int(2),
    op.tuple(op.int(2)),
    one,
    join(op.no),
    op.ordered(),
    op.global("torch", "uint32"),
  );
  const read3 = (await read(torchZip(pickle, { 0: data }))).get("w") as HostTensor;
  expect([read3.dtype, tensorBytes(read3)]).toEqual(["U32", data.slice(8, 16)]);
});

const namespace = op.global("argparse", "Namespace");
test.each<[string, Uint8Array]>([
  ["made", join(namespace, ")\x81")],
  ["called", op.call(namespace)],
  ["named on the stack", join(op.text("argparse"), op.text("Namespace"), 0x93, ")\x81")],
])("a training checkpoint's command line is passed over: %s", async (_, object) => {
  const settings = join(
    object,
    op.dict(op.text("lr"), op.int(1), op.text("w"), op.tensor(storage, 0, [6], [1])),
    "b",
  );
  const weights = op.dict(op.text("w"), op.tensor(storage, 0, [6], [1]));
  const bytes = torchZip(op.pickle(op.dict(op.text("args"), settings, op.text("model"), weights)), {
    0: data,
  });
  expect((await openPth(bytesSource(bytes))).keys).toEqual([{ key: "model", tensors: 1 }]);
  expect((await read(bytes)).get("w")?.shape).toEqual([6]);
});

test.each<[string, Uint8Array]>([
  ["another class", join(op.global("types", "SimpleNamespace"), ")\x81}b")],
  ["a class below it", join(op.global("argparse", "Namespace.__init__"), ")\x81}b")],
  ["arguments", op.call(namespace, op.dict(op.text("lr"), op.int(1)))],
  ["state that is no dict", join(namespace, ")\x81", op.list(op.int(1)), "b")],
  ["state of the class", join(namespace, "}b")],
  ["an object of a tensor function", join(op.global("torch._utils", "_rebuild_tensor_v2"), ")\x81")],
])("refuses %s like a command line", async (_, value) => {
  expect(await refusal(torchZip(w(value), {}))).toMatch(/^PICKLE_FORBIDDEN_(GLOBAL|CALL)$/);
});

test("views keep the bits of their numbers, of signalling NaNs too", async () => {
  const words = Uint32Array.of(0x7f800001, 0x7fa00000, 0x3f800000, 0x7fc12345, 0xff800002, 0x7f800002);
  const bits = new Uint8Array(words.buffer);
  const bitsOf = async (item: string, count: number) => {
    const view = op.tensor(op.storage(item, "0", count), 0, [count / 2, 2], [1, count / 2]);
    const bytes = torchZip(op.pickle(op.dict(op.text("w"), view)), { 0: bits });
    return tensorBytes((await read(bytes)).get("w") as HostTensor); // its only name
  };
  const order = (...at: number[]) => new Uint8Array(Uint32Array.from(at, (i) => words[i] ?? 0).buffer);
  expect(await bitsOf("FloatStorage", 6)).toEqual(order(0, 3, 1, 4, 2, 5));
  const halves = new Uint16Array(bits.buffer);
  const transposed = Uint16Array.from(halves, (_, i) => halves[Math.floor(i / 2) + 6 * (i % 2)] ?? 0);
  expect(await bitsOf("HalfStorage", 12)).toEqual(new Uint8Array(transposed.buffer));
  const wide = op.tensor(op.storage("DoubleStorage", "0", 3), 0, [2], [2]);
  words.set([1, 0x7ff00000, 0, 0, 2, 0xfff00000]);
  const both = await read(torchZip(op.pickle(op.dict(op.text("w"), wide)), { 0: bits }));
  expect(tensorBytes(both.get("w") as HostTensor)).toEqual(order(0, 1, 4, 5));
});

test("shared storages are read once", async () => {
  const first = op.tensor(storage, 0, [3], [1]);
  const second = op.tensor(storage, 3, [3], [1]);
  const bytes = torchZip(op.pickle(op.dict(op.text("a"), first, op.text("b"), second)), { 0: data });
  const lengths: number[] = [];
  const source = bytesSource(bytes);
  const counted = {
    ...source,
    read: (offset: number, length: number) => {
      lengths.push(length);
      return source.read(offset, length);
    },
  };
  const all = await (await openPth(counted)).stateDict().readAll();
  expect(all.get("b")?.data).toEqual(Float32Array.of(4, 5, 6));
  expect(lengths.filter((length) => length === data.length).length).toBe(1);
});

test("reading leaves the bytes as they were, also of a Buffer", async () => {
  for (const bytes of [fixture("legacy.pth"), Buffer.from(oneTensor([3, 2], [1, 3]))]) {
    const before = new Uint8Array(bytes);
    await read(bytes);
    expect(new Uint8Array(bytes)).toEqual(before);
  }
});

test("a hostile name is a name", async () => {
  const bytes = torchZip(op.pickle(op.dict(op.text("__proto__"), op.tensor(storage, 0, [6], [1]))), {
    0: data,
  });
  expect([...(await read(bytes)).keys()]).toEqual(["__proto__"]);
  expect(({} as { dtype?: string }).dtype).toBeUndefined();
});

const w = (value: Uint8Array) => op.pickle(op.dict(op.text("w"), value));
const good = w(op.tensor(storage, 0, [6], [1]));
const rebuild = (name: string, ...args: Uint8Array[]) =>
  torchZip(w(op.call(op.global("torch._utils", name), ...args)), { 0: data });
/** A tensor whose dtype is said beside its storage. */
const retyped = (dtype: Uint8Array) => {
  const one = op.tuple(op.int(1));
  return rebuild("_rebuild_tensor_v3", storage, op.int(0), one, one, join("\x89"), join("N"), dtype);
};
const pid = (...items: Uint8Array[]) => join(op.tuple(...items), "Q");
const float = op.global("torch", "FloatStorage");
const stored = (value: Uint8Array) => torchZip(w(op.tensor(value, 0, [6], [1])), { 0: data });

test("an order of bytes is a word: a large one is not read", async () => {
  const order = { name: "a/byteorder", data: new Uint8Array(2 ** 20) };
  const source = bytesSource(torchZip(good, { 0: data }, [order]));
  let largest = 0;
  const counted = {
    ...source,
    read: (offset: number, length: number) => {
      largest = Math.max(largest, length);
      return source.read(offset, length);
    },
  };
  expect(await codeOf(() => openPth(counted))).toBe("PTH_BYTE_ORDER");
  expect(largest).toBeLessThan(2 ** 17);
});

test.each<[string, Uint8Array, string]>([
  ["text", join("hello"), "PTH_NOT_TORCH"],
  ["another zip", zip([{ name: "a.txt", data: join("x") }]), "PTH_NOT_TORCH"],
  ["two data.pkl", torchZip(good, { 0: data }, [{ name: "b/data.pkl", data: good }]), "PTH_NOT_TORCH"],
  ["data.pkl at the root", zip([{ name: "data.pkl", data: good }]), "PTH_NOT_TORCH"],
  ["TorchScript", torchZip(good, { 0: data }, [{ name: "a/code/m.py", data: join("x") }]), "PTH_TORCHSCRIPT"],
  [
    "script constants",
    torchZip(good, { 0: data }, [{ name: "a/constants.pkl", data: join(")") }]),
    "PTH_TORCHSCRIPT",
  ],
  ["tar", join(new Uint8Array(257), "ustar", new Uint8Array(250)), "PTH_LEGACY_TAR"],
  ["big-endian", torchZip(good, { 0: data }, [{ name: "a/byteorder", data: join("big") }]), "PTH_BIG_ENDIAN"],
  [
    "an order with a line's end",
    torchZip(good, { 0: data }, [{ name: "a/byteorder", data: join("little\n") }]),
    "PTH_BYTE_ORDER",
  ],
  [
    "an order of junk",
    torchZip(good, { 0: data }, [{ name: "a/byteorder", data: join("\xff\xff\xff") }]),
    "PTH_BYTE_ORDER",
  ],
  [
    "TorchScript, whose code is packed",
    torchZip(good, { 0: data }, [packed("a/code/m.py", join("x = 1\n"))]),
    "PTH_TORCHSCRIPT",
  ],
  ["a packed pickle", zip([packed("a/data.pkl", good), { name: "a/data/0", data }]), "ZIP_COMPRESSED"],
  ["a packed storage", zip([{ name: "a/data.pkl", data: good }, packed("a/data/0", data)]), "ZIP_COMPRESSED"],
  ["bytes behind the pickle", torchZip(join(good, "N."), { 0: data }), "PTH_TRAILING_BYTES"],
  ["a plain pickle", op.pickle(op.int(1)), "PTH_NOT_TORCH"],
  ["exploit", torchZip(w(op.call(op.global("os", "system"), op.text("id"))), {}), "PICKLE_FORBIDDEN_GLOBAL"],
  ["numpy scalar", torchZip(w(op.global("numpy.core.multiarray", "scalar")), {}), "PICKLE_FORBIDDEN_GLOBAL"],
  [
    "OrderedDict of text",
    torchZip(w(op.call(op.global("collections", "OrderedDict"), op.text("x"))), {}),
    "PICKLE_FORBIDDEN_CALL",
  ],
  [
    "Size of text",
    torchZip(w(op.call(op.global("torch", "Size"), op.text("x"))), {}),
    "PICKLE_FORBIDDEN_CALL",
  ],
  [
    "Counter of text",
    torchZip(w(op.call(op.global("collections", "Counter"), op.text("x"))), {}),
    "PICKLE_FORBIDDEN_CALL",
  ],
  ["sparse", rebuild("_rebuild_sparse_tensor", join("N")), "PTH_UNSUPPORTED_TENSOR"],
  ["quantised", rebuild("_rebuild_qtensor", storage), "PTH_UNSUPPORTED_TENSOR"],
  [
    "a negated view",
    rebuild(
      "_rebuild_tensor_v2",
      storage,
      op.int(0),
      op.tuple(op.int(6)),
      op.tuple(op.int(1)),
      join("\x89"),
      join("N"),
      op.dict(op.text("neg"), join("\x88")),
    ),
    "PTH_UNSUPPORTED_TENSOR",
  ],
  ["complex", stored(op.storage("ComplexFloatStorage", "0", 3)), "PTH_UNSUPPORTED_TENSOR"],
  ["float8", stored(op.storage("Float8_e4m3fnStorage", "0", 24)), "PTH_UNSUPPORTED_TENSOR"],
  ["a float8 dtype", retyped(op.global("torch", "float8_e5m2")), "PTH_UNSUPPORTED_TENSOR"],
  ["a float4 dtype", retyped(op.global("torch", "float4_e2m1fn_x2")), "PTH_UNSUPPORTED_TENSOR"],
  ["a dtype of 3 bits", retyped(op.global("torch", "uint3")), "PTH_UNSUPPORTED_TENSOR"],
  ["a dtype in text", retyped(op.text("float64")), "PTH_BAD_TENSOR"],
  ["no dtype", retyped(join("N")), "PTH_BAD_TENSOR"],
  // Storages.
  ["storage missing", torchZip(good, {}), "PTH_BAD_STORAGE"],
  ["storage short", torchZip(good, { 0: data.slice(0, 20) }), "PTH_BAD_STORAGE"],
  ["storage long", torchZip(good, { 0: join(data, 0) }), "PTH_BAD_STORAGE"],
  [
    "storage in two types",
    torchZip(
      op.pickle(
        op.dict(
          op.text("a"),
          op.tensor(storage, 0, [6], [1]),
          op.text("b"),
          op.tensor(op.storage("IntStorage", "0", 6), 0, [6], [1]),
        ),
      ),
      { 0: data },
    ),
    "PTH_BAD_STORAGE",
  ],
  ["id no tuple", stored(join("NQ")), "PTH_BAD_STORAGE"],
  [
    "id of a module",
    stored(pid(op.text("module"), float, op.text("0"), op.text("cpu"), op.int(6))),
    "PTH_BAD_STORAGE",
  ],
  [
    "type no storage",
    stored(pid(op.text("storage"), op.global("torch", "float32"), op.text("0"), op.text("cpu"), op.int(6))),
    "PTH_BAD_STORAGE",
  ],
  ["key outside", stored(op.storage("FloatStorage", "../data.pkl", 6)), "PTH_BAD_STORAGE"],
  [
    "length negative",
    stored(pid(op.text("storage"), float, op.text("0"), op.text("cpu"), op.int(-6))),
    "PTH_BAD_STORAGE",
  ],
  ["length 2^62", stored(op.storage("FloatStorage", "0", 2 ** 62)), "PTH_BAD_STORAGE"],
  [
    "a view of a view",
    stored(
      pid(
        op.text("storage"),
        float,
        op.text("0"),
        op.text("cpu"),
        op.int(6),
        op.tuple(op.text("v"), op.int(0), op.int(1)),
      ),
    ),
    "PTH_BAD_STORAGE",
  ],
  // Tensors.
  ["past the end", oneTensor([7], [1]), "PTH_BAD_TENSOR"],
  ["offset past the end", oneTensor([1], [1], 6), "PTH_BAD_TENSOR"],
  ["stride past the end", oneTensor([2, 2], [5, 2]), "PTH_BAD_TENSOR"],
  ["offset negative", oneTensor([1], [1], -1), "PTH_BAD_TENSOR"],
  ["stride negative", oneTensor([2], [-1], 5), "PTH_BAD_TENSOR"],
  ["side negative", oneTensor([-1], [1]), "PTH_BAD_TENSOR"],
  ["fewer strides", oneTensor([2, 3], [1]), "PTH_BAD_TENSOR"],
  ["shape beyond 2^53", oneTensor([2 ** 31 - 1, 2 ** 31 - 1, 1], [0, 0, 0]), "PTH_BAD_TENSOR"],
  ["65 axes", oneTensor(Array(65).fill(1), Array(65).fill(1)), "PTH_BAD_TENSOR"],
  ["a stride of 65 axes", oneTensor([6], Array(65).fill(1)), "PTH_BAD_TENSOR"],
  ["a bomb of repeats", oneTensor([2 ** 30], [0]), "PTH_EXPANDED_TENSOR"],
  [
    "no storage",
    rebuild("_rebuild_tensor_v2", join("N"), op.int(0), op.tuple(), op.tuple()),
    "PTH_BAD_TENSOR",
  ],
  [
    "shape a list",
    rebuild("_rebuild_tensor_v2", storage, op.int(0), op.list(op.int(6)), op.tuple(op.int(1))),
    "PTH_BAD_TENSOR",
  ],
  ["untyped without dtype", stored(op.storage("UntypedStorage", "0", 24)), "PTH_BAD_TENSOR"],
  ["parameter of nothing", rebuild("_rebuild_parameter", join("N")), "PTH_BAD_TENSOR"],
  [
    "class of its own",
    torchZip(
      w(
        op.call(
          op.global("torch._tensor", "_rebuild_from_type_v2"),
          op.global("torch", "Size"),
          op.global("torch", "Tensor"),
          op.tuple(op.tuple()),
          join("}"),
        ),
      ),
      {},
    ),
    "PTH_BAD_TENSOR",
  ],
])("refuses: %s", async (_, bytes, code) => {
  expect(await refusal(bytes)).toBe(code);
});

test("an OrderedDict of a list, but no second one, however the list grew", async () => {
  const pairs = op.list(op.list(op.text("w"), op.tensor(storage, 0, [6], [1])));
  const ordered = op.global("collections", "OrderedDict");
  const call = (list: Uint8Array) => join(ordered, list, 0x85, "R");
  const again = join("h", 0);
  const more = join("h", 0, op.list(op.text("v"), "N"), "a");
  expect((await read(torchZip(op.pickle(call(pairs)), { 0: data }))).size).toBe(1);
  const twice = [call(join(pairs, "q", 0)), call(again), 0x86];
  expect(await refusal(torchZip(op.pickle(...twice), { 0: data }))).toBe("PICKLE_TOO_LARGE");
  const grown = [call(join(pairs, "q", 0)), call(more), 0x86];
  expect(await refusal(torchZip(op.pickle(...grown), { 0: data }))).toBe("PICKLE_TOO_LARGE");
});

test("many strided copies of one storage are refused, single ones are read", async () => {
  const wide = new Uint8Array(4 * 2 ** 20);
  const store = op.storage("FloatStorage", "0", 2 ** 20);
  const views = Array.from({ length: 40 }, (_, i) => [
    op.text(`t${i}`),
    op.tensor(store, 0, [1024, 1024], [1, 1024]),
  ]);
  const bytes = torchZip(op.pickle(op.dict(...views.flat())), { 0: wide });
  expect(await refusal(bytes)).toBe("PTH_TOO_LARGE");
  const dict = (await openPth(bytesSource(bytes))).stateDict();
  expect((await dict.read("t7")).shape).toEqual([1024, 1024]);
});

const codes = /^(PTH_|PICKLE_|ZIP_|FILE_TRUNCATED)/;
test("every damage to a small checkpoint", async () => {
  const small = torchZip(w(op.tensor(op.storage("ByteStorage", "0", 2), 0, [2], [1])), {
    0: Uint8Array.of(1, 2),
  });
  await readDamaged(small, (bytes) => read(bytes), codes);
});

test("sets, dtypes and file names with colons beside weights", async () => {
  const set = op.call(op.global("__builtin__", "set"), join("](K\x01K\x02e"));
  const tensor = op.tensor(storage, 0, [6], [1]);
  const root = op.dict(
    op.text("w"),
    tensor,
    op.text("s"),
    set,
    op.text("t"),
    op.global("torch", "complex64"),
  );
  expect([...(await read(torchZip(op.pickle(root), { 0: data }))).keys()]).toEqual(["w"]);
});
