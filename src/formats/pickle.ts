/**
 * A pickle machine that can build plain containers and nothing else. Globals are looked up in a table that the caller
 * gives, never imported; a call is made only to entries of that table; opcodes beyond protocols 2 to 5 as PyTorch and
 * Python write them for data are refused; sizes and depth are capped. Every fault is a NextxError.
 * Source: Python's Lib/pickletools.py for the opcodes; the rules follow torch/_weights_only_unpickler.py.
 */
import type { NextxError } from "../tensor/errors.ts";

import {
  PickleClass,
  PickleDict,
  PickleGlobal,
  PickleList,
  PickleObject,
  PickleOpaque,
  type PickleTable,
  PickleTuple,
  type PickleValue,
  pickleError,
} from "./pickleValues.ts";

export interface PickleLimits {
  readonly maxOpcodes?: number;
  /** Values on the stack at once. */
  readonly maxStack?: number;
  readonly maxMemo?: number;
  /** Nesting of containers. */
  readonly maxDepth?: number;
  /** Containers, byte strings and what calls make: a published checkpoint has about ten of a tensor. */
  readonly maxObjects?: number;
}

/** A value and where the pickle ends. */
export interface PickleResult {
  readonly value: PickleValue;
  readonly end: number;
}

/**
 * Reads one pickle from `bytes` at `start`; what follows it stays unread.
 * @throws NextxError PICKLE_TRUNCATED, PICKLE_BAD_OPCODE, PICKLE_BAD_STACK, PICKLE_BAD_MEMO, PICKLE_BAD_TEXT, PICKLE_BAD_VALUE,
 * PICKLE_BAD_KEY, PICKLE_FORBIDDEN_GLOBAL, PICKLE_FORBIDDEN_CALL, PICKLE_UNFINISHED, PICKLE_TOO_LARGE, PICKLE_TOO_DEEP, and
 * what the table throws
 */
export function readPickle(
  bytes: Uint8Array,
  table: PickleTable,
  start = 0,
  limits: PickleLimits = {},
): PickleResult {
  return new PickleMachine(bytes, table, start, limits).run();
}

const defaultLimits: Required<PickleLimits> = {
  maxOpcodes: 20_000_000,
  maxStack: 2_000_000,
  maxMemo: 2_000_000,
  maxDepth: 256,
  maxObjects: 1_000_000,
};

const emptyTuple = new PickleTuple([]);

class PickleMachine {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly table: PickleTable;
  private readonly limits: Required<PickleLimits>;
  private readonly stack: PickleValue[] = [];
  /** Stack lengths at the open marks. */
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private objects = 0;
  private readonly decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  private at: number;
  private opcodeAt = 0;

  constructor(bytes: Uint8Array, table: PickleTable, start: number, limits: PickleLimits) {
    this.bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength); // never a Buffer
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.table = table;
    this.at = start;
    this.limits = { ...defaultLimits, ...limits };
  }

  run(): PickleResult {
    for (let count = 0; count < this.limits.maxOpcodes; count++) {
      this.opcodeAt = this.at;
      const opcode = this.bytes[this.take(1)] as number; // taken
      if (opcode === 0x2e) return { value: this.finish(), end: this.at };
      const known =
        this.scalar(opcode) || this.text(opcode) || this.container(opcode) || this.reference(opcode);
      if (!known) throw this.unknownOpcode(opcode);
      if (this.stack.length > this.limits.maxStack) throw this.tooLarge("values on the stack");
    }
    throw this.tooLarge("opcodes");
  }

  private finish(): PickleValue {
    if (this.marks.length > 0 || this.stack.length !== 1) {
      throw this.error("UNFINISHED", "something was begun and never finished");
    }
    return this.pop();
  }

  /** Numbers, booleans, None. */
  private scalar(opcode: number): boolean {
    switch (opcode) {
      case 0x4e: // NONE
        return this.push(null);
      case 0x88: // NEWTRUE
        return this.push(true);
      case 0x89: // NEWFALSE
        return this.push(false);
      case 0x4a: // BININT
        return this.push(this.view.getInt32(this.take(4), true));
      case 0x4b: // BININT1
        return this.push(this.uint8());
      case 0x4d: // BININT2
        return this.push(this.view.getUint16(this.take(2), true));
      case 0x8a: // LONG1
        return this.push(this.long(this.uint8()));
      case 0x8b: // LONG4
        return this.push(this.long(this.uint32()));
      case 0x47: // BINFLOAT, big-endian
        return this.push(this.view.getFloat64(this.take(8), false));
      default:
        return false;
    }
  }

  /** Text and bytes. */
  private text(opcode: number): boolean {
    switch (opcode) {
      case 0x8c: // SHORT_BINUNICODE
      case 0x55: // SHORT_BINSTRING, Python 2's text
        return this.push(this.utf8(this.uint8()));
      case 0x58: // BINUNICODE
      case 0x54: // BINSTRING
        return this.push(this.utf8(this.uint32()));
      case 0x8d: // BINUNICODE8
        return this.push(this.utf8(this.uint64()));
      case 0x43: // SHORT_BINBYTES
        return this.pushNew(this.raw(this.uint8()));
      case 0x42: // BINBYTES
        return this.pushNew(this.raw(this.uint32()));
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return this.pushNew(this.raw(this.uint64()));
      default:
        return false;
    }
  }

  private container(opcode: number): boolean {
    switch (opcode) {
      case 0x28: // MARK
        if (this.marks.length >= 2 * this.limits.maxDepth) throw this.tooDeep();
        this.marks.push(this.stack.length);
        return true;
      case 0x29: // EMPTY_TUPLE
        return this.push(emptyTuple);
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.pushTuple(this.popMany(opcode - 0x84));
      case 0x74: // TUPLE
      case 0x91: // FROZENSET
        return this.pushTuple(this.popToMark());
      case 0x5d: // EMPTY_LIST
      case 0x8f: // EMPTY_SET
        return this.pushNew(new PickleList());
      case 0x6c: // LIST
        return this.append(this.popToMark(), () => this.pushNew(new PickleList()));
      case 0x61: // APPEND
        return this.append(this.popMany(1));
      case 0x65: // APPENDS
      case 0x90: // ADDITEMS
        return this.append(this.popToMark());
      case 0x7d: // EMPTY_DICT
        return this.pushNew(new PickleDict());
      case 0x64: // DICT
        return this.setItems(this.popToMark(), () => this.pushNew(new PickleDict()));
      case 0x73: // SETITEM
        return this.setItems(this.popMany(2));
      case 0x75: // SETITEMS
        return this.setItems(this.popToMark());
      default:
        return false;
    }
  }

  /** Memo, frames, globals, calls. */
  private reference(opcode: number): boolean {
    switch (opcode) {
      case 0x80: // PROTO
        if (this.uint8() > 5) throw this.error("BAD_OPCODE", "a protocol after 5");
        return true;
      case 0x95: // FRAME
        this.uint64();
        return true;
      case 0x68: // BINGET
        return this.recall(this.uint8());
      case 0x6a: // LONG_BINGET
        return this.recall(this.uint32());
      case 0x71: // BINPUT
        return this.remember(this.uint8());
      case 0x72: // LONG_BINPUT
        return this.remember(this.uint32());
      case 0x94: // MEMOIZE
        return this.remember(this.memo.size);
      case 0x63: // GLOBAL
        return this.global(this.line(), this.line());
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.popMany(2);
        if (typeof module !== "string" || typeof name !== "string")
          throw this.badValue("a name that is no text");
        return this.global(module, name);
      }
      case 0x52: // REDUCE
        return this.call();
      case 0x81: // NEWOBJ
        return this.newObject();
      case 0x62: // BUILD
        return this.build();
      case 0x51: // BINPERSID
        return this.push(this.table.persistent(this.pop()));
      default:
        return false;
    }
  }

  private global(module: string, name: string): boolean {
    const full = `${module}.${name}`;
    const found = this.table.globals.get(full);
    if (!found) {
      const shown = JSON.stringify(full.slice(0, 200));
      throw pickleError(
        "FORBIDDEN_GLOBAL",
        `The file names ${shown}, which is not read.`,
        full.slice(0, 200),
      );
    }
    return this.push(found);
  }

  private call(): boolean {
    const [callee, args] = this.popMany(2);
    if (!(callee instanceof PickleGlobal) || callee.call === undefined || !(args instanceof PickleTuple)) {
      const name = callee instanceof PickleGlobal ? callee.name : "something that is no function";
      throw pickleError("FORBIDDEN_CALL", `The file calls ${name}.`, name);
    }
    return this.pushNew(callee.call(args.items));
  }

  private newObject(): boolean {
    const [made, args] = this.popMany(2);
    if (!(made instanceof PickleClass) || made.call === undefined || !(args instanceof PickleTuple)) {
      const name = made instanceof PickleGlobal ? made.name : "something that is no class";
      throw pickleError("FORBIDDEN_CALL", `The file makes an object of ${name}.`, name);
    }
    return this.pushNew(made.call(args.items));
  }

  /** Attributes of an OrderedDict (a state dict's `_metadata`) and of opaque objects are dropped; nothing else has any. */
  private build(): boolean {
    const [target, state] = this.popMany(2);
    const isOrdered = target instanceof PickleDict && target.ordered && state instanceof PickleObject;
    const isOpaque = target instanceof PickleOpaque && state instanceof PickleDict;
    if (target === undefined || !(isOrdered || isOpaque)) {
      throw pickleError("FORBIDDEN_CALL", "The file sets attributes of an object.", `byte ${this.opcodeAt}`);
    }
    return this.push(target);
  }

  private append(items: readonly PickleValue[], before?: () => void): boolean {
    before?.();
    const list = this.top();
    if (!(list instanceof PickleList)) throw this.badValue("items appended to what is no list");
    for (const item of items) {
      this.nest(list, item);
      list.add(item);
    }
    return true;
  }

  private setItems(items: readonly PickleValue[], before?: () => void): boolean {
    before?.();
    const dict = this.top();
    if (!(dict instanceof PickleDict)) throw this.badValue("items set in what is no dict");
    if (items.length % 2 !== 0) throw this.error("BAD_STACK", "a key without its value");
    for (let i = 0; i < items.length; i += 2) {
      const [key, value] = [items[i], items[i + 1] as PickleValue]; // an even number
      if (key === null || typeof key === "object" || key === undefined) {
        throw this.error("BAD_KEY", "a key that is neither text nor a number");
      }
      this.nest(dict, value);
      this.count();
      dict.set(key, value);
    }
    return true;
  }

  private pushTuple(items: readonly PickleValue[]): boolean {
    if (items.length === 0) return this.push(emptyTuple);
    const tuple = new PickleTuple(items);
    for (const item of items) this.nest(tuple, item);
    return this.pushNew(tuple);
  }

  /** Keeps count of the nesting below each container. */
  private nest(container: PickleObject, item: PickleValue): void {
    const below = item instanceof PickleObject ? item.depth + 1 : 1;
    if (below <= container.depth) return;
    if (below > this.limits.maxDepth) throw this.tooDeep();
    container.depth = below;
  }

  private recall(index: number): boolean {
    const value = this.memo.get(index);
    if (value === undefined) throw this.error("BAD_MEMO", `memo entry ${index} was never stored`);
    return this.push(value);
  }

  private remember(index: number): boolean {
    this.memo.set(index, this.top());
    if (this.memo.size > this.limits.maxMemo) throw this.tooLarge("memo entries");
    return true;
  }

  private push(value: PickleValue): boolean {
    this.stack.push(value);
    return true;
  }

  /** What takes memory of its own: objects, and entries of dicts. */
  private count(): void {
    if (++this.objects > this.limits.maxObjects) throw this.tooLarge("objects");
  }

  private pushNew(value: PickleValue): boolean {
    this.count();
    return this.push(value);
  }

  /** Values above the last mark. */
  private get available(): number {
    return this.stack.length - (this.marks.at(-1) ?? 0);
  }

  private top(): PickleValue {
    if (this.available < 1) throw this.error("BAD_STACK", "the stack is empty");
    return this.stack[this.stack.length - 1] as PickleValue; // not empty
  }

  private pop(): PickleValue {
    const value = this.top();
    this.stack.pop();
    return value;
  }

  private popMany(count: number): PickleValue[] {
    if (this.available < count) throw this.error("BAD_STACK", "the stack is empty");
    return this.stack.splice(this.stack.length - count);
  }

  private popToMark(): PickleValue[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw this.error("BAD_STACK", "no mark is open");
    return this.stack.splice(mark);
  }

  /** Moves past `length` bytes; returns where they start. */
  private take(length: number): number {
    const start = this.at;
    if (length > this.bytes.length - start) throw this.error("TRUNCATED", "the data end inside a pickle");
    this.at += length;
    return start;
  }

  private uint8(): number {
    return this.view.getUint8(this.take(1));
  }

  private uint32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  private uint64(): number {
    return Number(this.view.getBigUint64(this.take(8), true));
  }

  private raw(length: number): Uint8Array {
    const start = this.take(length);
    return this.bytes.subarray(start, start + length);
  }

  private utf8(length: number): string {
    const raw = this.raw(length);
    try {
      return this.decoder.decode(raw);
    } catch (cause) {
      throw pickleError("BAD_TEXT", "Text that is not UTF-8.", `byte ${this.opcodeAt}`, cause);
    }
  }

  /** Up to a line feed. */
  private line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw this.error("TRUNCATED", "the data end inside a name");
    if (end - this.at > 1000) throw this.error("BAD_TEXT", "a name of more than 1,000 bytes");
    const text = this.utf8(end - this.at);
    this.take(1);
    return text;
  }

  /** Two's complement, little-endian. */
  private long(length: number): number | bigint {
    if (length > 255) throw this.tooLarge("bytes in an integer");
    let value = 0n;
    const start = this.take(length);
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[start + i] as number); // in range
    const signed = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
  }

  private unknownOpcode(opcode: number): NextxError {
    const shown = `0x${opcode.toString(16).padStart(2, "0")}`;
    return this.error("BAD_OPCODE", `the opcode ${shown} is not read`);
  }

  private badValue(what: string): NextxError {
    return this.error("BAD_VALUE", what);
  }

  private tooLarge(what: string): NextxError {
    return this.error("TOO_LARGE", `too many ${what}`);
  }

  private tooDeep(): NextxError {
    return this.error("TOO_DEEP", `nested deeper than ${this.limits.maxDepth}`);
  }

  private error(code: string, what: string): NextxError {
    return pickleError(code, `Pickle, byte ${this.opcodeAt}: ${what}.`, `byte ${this.opcodeAt}`);
  }
}
