/**
 * What a PyTorch checkpoint may name, as a fixed table. Tensors and storages become inert descriptions (dtype, shape,
 * strides, storage key); nothing is constructed, no name is imported, no user can add one.
 * Source: torch/_utils.py (the `_rebuild_*` functions), torch/serialization.py (persistent ids).
 */
import { NextxError } from "../tensor/errors.ts";
import { checkedElementCount, type DType, dtypeBytes } from "./hostTensor.ts";
import {
  PickleClass,
  PickleDict,
  PickleGlobal,
  PickleList,
  PickleObject,
  type PickleTable,
  PickleTuple,
  type PickleValue,
  pickleError,
} from "./pickleValues.ts";

/** The bytes behind tensors; `dtype` is undefined for an untyped storage, whose `length` counts bytes. */
export class TorchStorage extends PickleObject {
  override readonly kind = "storage";
  readonly key: string;
  readonly dtype: DType | undefined;
  readonly length: number;
  constructor(key: string, dtype: DType | undefined, length: number) {
    super();
    this.key = key;
    this.dtype = dtype;
    this.length = length;
  }
  get sizeBytes(): number {
    return this.length * (this.dtype === undefined ? 1 : dtypeBytes(this.dtype));
  }
}

/** A view into a storage, verified to lie inside it. Offset and strides count elements. */
export class TorchTensor extends PickleObject {
  override readonly kind = "tensor";
  readonly storage: TorchStorage;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
  constructor(
    storage: TorchStorage,
    dtype: DType,
    shape: readonly number[],
    strides: readonly number[],
    offset: number,
  ) {
    super();
    this.storage = storage;
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
  }
}

const storageDTypes: readonly (readonly [string, DType | undefined])[] = [
  ["DoubleStorage", "F64"],
  ["FloatStorage", "F32"],
  ["HalfStorage", "F16"],
  ["BFloat16Storage", "BF16"],
  ["LongStorage", "I64"],
  ["IntStorage", "I32"],
  ["ShortStorage", "I16"],
  ["CharStorage", "I8"],
  ["ByteStorage", "U8"],
  ["BoolStorage", "BOOL"],
];
const elementDTypes: readonly (readonly [string, DType])[] = [
  ["float64", "F64"],
  ["float32", "F32"],
  ["float16", "F16"],
  ["bfloat16", "BF16"],
  ["int64", "I64"],
  ["int32", "I32"],
  ["int16", "I16"],
  ["int8", "I8"],
  ["uint64", "U64"],
  ["uint32", "U32"],
  ["uint16", "U16"],
  ["uint8", "U8"],
  ["bool", "BOOL"],
];
/** What training scripts keep their command line in, beside the weights. */
const settingsClass = "argparse.Namespace";

const smallFloats = ["e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu"];
const fewBits = [1, 2, 3, 4, 5, 6, 7];
const unreadDTypes = [
  ...["complex32", "complex64", "complex128", "bits1x8", "bits2x4", "bits4x2", "bits8", "bits16"],
  ...["qint8", "quint8", "qint32", "quint4x2", "quint2x4", "float4_e2m1fn_x2"],
  ...smallFloats.map((form) => `float8_${form}`),
  ...fewBits.flatMap((bits) => [`int${bits}`, `uint${bits}`]),
];
/** Named so that the error can say what the tensor is. */
const unsupported: readonly string[] = [
  "torch._utils._rebuild_sparse_tensor",
  "torch._utils._rebuild_nested_tensor",
  "torch._utils._rebuild_qtensor",
  "torch._utils._rebuild_meta_tensor_no_storage",
  "torch._utils._rebuild_wrapper_subclass",
  "torch.ComplexFloatStorage",
  "torch.ComplexDoubleStorage",
  "torch.QInt8Storage",
  "torch.QUInt8Storage",
  "torch.QInt32Storage",
  "torch.QUInt4x2Storage",
  "torch.QUInt2x4Storage",
  ...smallFloats.map((form) => `torch.Float8_${form}Storage`),
];

/** The table for one file; storages are checked against what `sizeOf` knows (undefined: not known yet). */
export function torchTable(sizeOf: (key: string) => number | undefined): TorchTable {
  const storages = new Map<string, TorchStorage>();
  const globals = new Map<string, PickleGlobal>();
  const dtypes = new Map<PickleValue, DType>();
  const storageTypes = new Map<PickleValue, DType | undefined>();
  const unread = new Map<PickleValue, string>();
  const add = (name: string, call?: (args: readonly PickleValue[]) => PickleValue): PickleGlobal => {
    const global = new PickleGlobal(name, call);
    globals.set(name, global);
    return global;
  };
  for (const [name, dtype] of storageDTypes) {
    for (const module of ["torch", "torch.cuda"]) storageTypes.set(add(`${module}.${name}`), dtype);
  }
  for (const module of ["torch", "torch.storage"])
    storageTypes.set(add(`${module}.UntypedStorage`), undefined);
  for (const [name, dtype] of elementDTypes) dtypes.set(add(`torch.${name}`), dtype);
  // Beside weights these are values like any other; a tensor of such a dtype is refused by name.
  for (const name of unreadDTypes) unread.set(add(`torch.${name}`), name);
  addContainers(add);
  globals.set(settingsClass, new PickleClass(settingsClass));
  add("torch._utils._rebuild_tensor", (args) => rebuildTensor(args, undefined));
  add("torch._utils._rebuild_tensor_v2", (args) => rebuildTensor(args, undefined, args[6]));
  add("torch._utils._rebuild_tensor_v3", (args) => rebuildTensor(args, elementOf(args[6] ?? null), args[7]));
  const elementOf = (dtype: PickleValue): DType => {
    const name = unread.get(dtype);
    if (name !== undefined) throw unsupportedTensor(`torch.${name}`);
    const known = dtypes.get(dtype);
    if (known === undefined) throw badTensor("a tensor of an unknown dtype");
    return known;
  };
  const parameter = ([tensor]: readonly PickleValue[]): PickleValue => {
    if (!(tensor instanceof TorchTensor)) throw badTensor("a parameter without its tensor");
    return tensor;
  };
  add("torch._utils._rebuild_parameter", parameter);
  add("torch._utils._rebuild_parameter_with_state", parameter);
  const classes = ["torch.Tensor", "torch.nn.parameter.Parameter"].map((name) => add(name) as PickleValue);
  add("torch._tensor._rebuild_from_type_v2", ([rebuild, type, args]) => {
    const isPlain = rebuild instanceof PickleGlobal && rebuild.name.startsWith("torch._utils._rebuild_");
    if (!isPlain || !rebuild.call || !(args instanceof PickleTuple) || !classes.includes(type ?? null)) {
      throw badTensor("a tensor of a class of its own");
    }
    return rebuild.call(args.items);
  });
  const persistent = (id: PickleValue) => storageOf(id, storageTypes, storages, sizeOf);
  const table: PickleTable = { globals, persistent };
  return { ...table, storages, explain };
}

export interface TorchTable extends PickleTable {
  /** Storages that tensors named so far, by key. */
  readonly storages: ReadonlyMap<string, TorchStorage>;
  /** Names the kind of tensor when a forbidden name stands for one that is not read. */
  explain(error: unknown): unknown;
}

function explain(error: unknown): unknown {
  if (!(error instanceof NextxError) || error.code !== "PICKLE_FORBIDDEN_GLOBAL") return error;
  if (error.path === undefined || !unsupported.includes(error.path)) return error;
  return unsupportedTensor(error.path);
}

const unsupportedTensor = (kind: string): NextxError =>
  new NextxError("PTH_UNSUPPORTED_TENSOR", `The file holds a tensor of a kind not read: ${kind}.`, {
    path: kind,
    hint: "Dense float, integer and boolean tensors are read; convert it in Python first.",
  });

type Add = (name: string, call?: (args: readonly PickleValue[]) => PickleValue) => PickleGlobal;

function addContainers(add: Add): void {
  const copied = new WeakSet<PickleList>();
  add("collections.OrderedDict", (args) => {
    const dict = new PickleDict(true);
    const pairs = args[0] ?? new PickleList();
    if (!(pairs instanceof PickleList)) throw badArguments("OrderedDict");
    // A list is copied once, so copies hold no more than the file's own lists, whose entries it spells out.
    if (copied.has(pairs)) {
      const message = "The file makes more than one OrderedDict of a list.";
      throw pickleError("TOO_LARGE", message, "collections.OrderedDict");
    }
    copied.add(pairs);
    for (const pair of pairs.items) {
      const [key, value] = pair instanceof PickleList || pair instanceof PickleTuple ? pair.items : [];
      if (typeof key !== "string" || value === undefined) throw badArguments("OrderedDict");
      dict.set(key, value);
    }
    return dict;
  });
  add("collections.Counter", ([counts]) => {
    if (!(counts instanceof PickleDict)) throw badArguments("Counter");
    return counts;
  });
  // Settings beside the weights; as lists, for nothing asks whether they hold something.
  for (const name of ["__builtin__.set", "builtins.set", "__builtin__.frozenset", "builtins.frozenset"])
    add(name, ([items]) => {
      if (!(items instanceof PickleList)) throw badArguments("set");
      return items;
    });
  add("torch.Size", ([sides]) => {
    if (!(sides instanceof PickleTuple)) throw badArguments("torch.Size");
    return sides;
  });
  add("torch.device", ([name]) => (typeof name === "string" ? name : null));
}

function badArguments(name: string): NextxError {
  return pickleError(
    "FORBIDDEN_CALL",
    `The file calls ${name} with other arguments than PyTorch writes.`,
    name,
  );
}

function badTensor(what: string): NextxError {
  return new NextxError("PTH_BAD_TENSOR", `The file describes ${what}.`, {
    hint: "The file is damaged or was not written by torch.save.",
  });
}

/** ("storage", type, key, location, number of elements), in old files with a sixth entry for views. */
function storageOf(
  id: PickleValue,
  types: ReadonlyMap<PickleValue, DType | undefined>,
  storages: Map<string, TorchStorage>,
  sizeOf: (key: string) => number | undefined,
): TorchStorage {
  const bad = (what: string) =>
    new NextxError("PTH_BAD_STORAGE", `The file describes a storage ${what}.`, {
      hint: "The file is damaged or was not written by torch.save.",
    });
  const [tag, type, key, location, length, view] = id instanceof PickleTuple ? id.items : [];
  if (tag !== "storage" || typeof key !== "string" || typeof location !== "string")
    throw bad("in no known form");
  if (type === undefined || !types.has(type)) throw bad("of an unknown type");
  if (view !== undefined && view !== null) throw bad("that is a view of another");
  if (typeof length !== "number" || checkedElementCount([length, 8]) === undefined) {
    throw bad("without a length");
  }
  const storage = new TorchStorage(key, types.get(type), length);
  const known = storages.get(key);
  if (known) {
    if (known.dtype !== storage.dtype || known.length !== length) throw bad(`"${key}" in two ways`);
    return known;
  }
  const sizeBytes = sizeOf(key);
  if (sizeBytes !== undefined && sizeBytes !== storage.sizeBytes) {
    throw bad(`"${key}" of ${storage.sizeBytes} bytes, but holds ${Math.max(0, sizeBytes)}`);
  }
  storages.set(key, storage);
  return storage;
}

/** PyTorch's own limit of most operations. Shapes are shared in a file and repeated for every tensor outside it. */
const maxRank = 64;

/**
 * (storage, offset, size, stride, ...); `element` is given for tensors over untyped storages. `metadata` says of views whether
 * their numbers are negated or conjugated when they are read.
 */
function rebuildTensor(
  args: readonly PickleValue[],
  element: DType | undefined,
  metadata?: PickleValue,
): TorchTensor {
  const [storage, offset, size, stride] = args;
  if (metadata instanceof PickleDict) {
    for (const [name, value] of metadata.entries) {
      if (value !== true) continue;
      throw new NextxError("PTH_UNSUPPORTED_TENSOR", `The file holds a view with the mark "${name}".`, {
        path: String(name).slice(0, 200),
        hint: "In Python, save tensor.resolve_neg().resolve_conj() instead.",
      });
    }
  }
  if (!(storage instanceof TorchStorage)) throw badTensor("a tensor without a storage");
  const dtype = element ?? storage.dtype;
  if (dtype === undefined) throw badTensor("a tensor of an unknown dtype");
  if (size instanceof PickleTuple && size.items.length > maxRank) {
    throw badTensor(`a tensor of ${size.items.length} axes, more than ${maxRank}`);
  }
  const [shape, strides, [start]] = [
    integers(size),
    integers(stride),
    integers(new PickleTuple([offset ?? null])) ?? [],
  ];
  const count = shape && checkedElementCount(shape);
  if (!shape || !strides || start === undefined || count === undefined || shape.length !== strides.length) {
    throw badTensor("a tensor whose shape, strides or offset are not integers >= 0 that fit together");
  }
  const last = shape.reduce((sum, side, i) => sum + (side - 1) * (strides[i] as number), start); // equal lengths
  const length = Math.floor(storage.sizeBytes / dtypeBytes(dtype));
  if (count > 0 && !(Number.isSafeInteger(last) && last < length)) {
    throw badTensor(`a tensor [${shape.slice(0, 16).join(", ")}] that reaches past its storage of ${length}`);
  }
  if (count > length) {
    throw new NextxError(
      "PTH_EXPANDED_TENSOR",
      "A tensor repeats its storage: it was expanded, not stored.",
      {
        hint: "In Python, .clone() it before saving.",
      },
    );
  }
  return new TorchTensor(storage, dtype, shape, strides, start);
}

function integers(value: PickleValue | undefined): readonly number[] | undefined {
  if (!(value instanceof PickleTuple) || value.items.length > maxRank) return undefined;
  const isSide = (item: PickleValue): item is number => Number.isSafeInteger(item) && (item as number) >= 0; // a number
  return value.items.every(isSide) ? value.items : undefined;
}
