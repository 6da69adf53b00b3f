/** What a pickle may hold and name: plain data, inert objects, and the caller's table of globals. */
import { NextxError } from "../tensor/errors.ts";

/** A failure of a pickle; `path` is the byte offset unless given. */
export function pickleError(code: string, message: string, path: string, cause?: unknown): NextxError {
  return new NextxError(`PICKLE_${code}`, message, {
    path,
    hint: "Only tensors, numbers, text, lists and dicts are read. In Python, save the state dict alone: torch.save(model.state_dict(), path).",
    cause,
  });
}

/** What a table entry or a call may produce besides plain data; inert. */
export abstract class PickleObject {
  abstract readonly kind: string;
  /** Nesting of containers from here down, of which the machine keeps count. */
  depth = 1;
}

/** A name that may be mentioned; `call` is absent for names that may not be called. */
export class PickleGlobal extends PickleObject {
  override readonly kind = "global";
  readonly name: string;
  readonly call: ((args: readonly PickleValue[]) => PickleValue) | undefined;
  constructor(name: string, call?: (args: readonly PickleValue[]) => PickleValue) {
    super();
    this.name = name;
    this.call = call;
  }
}

/** A class whose objects may be mentioned: they are made without arguments and nothing of them is kept. */
export class PickleClass extends PickleGlobal {
  constructor(name: string) {
    super(name, (args) => {
      if (args.length > 0)
        throw pickleError("FORBIDDEN_CALL", `The file calls ${name} with arguments.`, name);
      return new PickleOpaque(name);
    });
  }
}

/** An object of such a class; attributes that are set on it are dropped. */
export class PickleOpaque extends PickleObject {
  override readonly kind = "opaque";
  readonly className: string;
  constructor(className: string) {
    super();
    this.className = className;
  }
}

/** A tuple or a frozen set: never changes. */
export class PickleTuple extends PickleObject {
  override readonly kind = "tuple";
  readonly items: readonly PickleValue[];
  constructor(items: readonly PickleValue[]) {
    super();
    this.items = items;
  }
}

const noItems: readonly PickleValue[] = Object.freeze([]);

/** A list or a set. May contain itself. */
export class PickleList extends PickleObject {
  override readonly kind = "list";
  /** Made with the first item: files may hold very many empty lists. */
  #items: PickleValue[] | undefined;

  get items(): readonly PickleValue[] {
    return this.#items ?? noItems;
  }

  add(item: PickleValue): void {
    this.#items ??= [];
    this.#items.push(item);
  }
}

export type PickleKey = string | number | bigint | boolean;
const noEntries: ReadonlyMap<PickleKey, PickleValue> = new Map();

/** A dict; `ordered` when it was made by OrderedDict. May contain itself. */
export class PickleDict extends PickleObject {
  override readonly kind = "dict";
  readonly ordered: boolean;
  /** Made with the first entry. */
  #entries: Map<PickleKey, PickleValue> | undefined;
  constructor(ordered = false) {
    super();
    this.ordered = ordered;
  }

  get entries(): ReadonlyMap<PickleKey, PickleValue> {
    return this.#entries ?? noEntries;
  }

  set(key: PickleKey, value: PickleValue): void {
    this.#entries ??= new Map();
    this.#entries.set(key, value);
  }
}

/** Integers beyond 53 bits are bigints. */
export type PickleValue = null | boolean | number | bigint | string | Uint8Array | PickleObject;

/** What the file may name, by `module.name`, and what its persistent ids mean. */
export interface PickleTable {
  readonly globals: ReadonlyMap<string, PickleGlobal>;
  readonly persistent: (id: PickleValue) => PickleValue;
}
