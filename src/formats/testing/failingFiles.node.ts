/**
 * File layers for tests of durable writing: one fails the Nth call, the other keeps files in memory and knows what a power
 * cut would leave, so that each prefix of a protocol can be checked.
 */
import { basename, dirname } from "node:path";
import type { FileLayer, FileSink } from "../durableLayer.node.ts";

/** A system error as Node makes it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made by a test`), { code });
}

/** Passes `inner`'s calls on, but throws `fail(call)` before the call where that is an error. Calls count from 1. */
export function interceptFiles(
  inner: FileLayer,
  fail: (call: number, name: string) => Error | undefined,
): FileLayer {
  let calls = 0;
  const guarded =
    <A extends readonly unknown[], R>(name: string, run: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      const error = fail(++calls, name);
      if (error) throw error;
      return run(...args);
    };
  return {
    open: guarded("open", async (path: string, mode: "create" | "append"): Promise<FileSink> => {
      const sink = await inner.open(path, mode);
      return {
        write: guarded("write", (bytes: Uint8Array) => sink.write(bytes)),
        sync: guarded("sync", () => sink.sync()),
        // A real close gives the handle back even when it reports an error.
        close: () => guarded("close", async () => undefined)().finally(() => sink.close()),
      };
    }),
    read: guarded("read", (path: string) => inner.read(path)),
    list: guarded("list", (path: string) => inner.list(path)),
    makeFolder: guarded("makeFolder", (path: string) => inner.makeFolder(path)),
    rename: guarded("rename", (from: string, to: string) => inner.rename(from, to)),
    remove: guarded("remove", (path: string) => inner.remove(path)),
    syncFolder: guarded("syncFolder", (path: string) => inner.syncFolder(path)),
  };
}

interface MemoryFile {
  bytes: Uint8Array;
  synced: Uint8Array;
}
interface MemoryFolder {
  entries: Map<string, MemoryNode>;
  synced: Map<string, MemoryNode>;
}
type MemoryNode = MemoryFile | MemoryFolder;

const isFolder = (node: MemoryNode): node is MemoryFolder => "entries" in node;
const emptyFolder = (): MemoryFolder => ({ entries: new Map(), synced: new Map() });

/** What of the un-synced state survives a power cut: none of it, or the names but not the bytes. */
export type PowerCut = "all-lost" | "names-kept";

/** Files in memory below "/"; content is on the device after sync, names after syncFolder of their folder. */
export class MemoryFiles implements FileLayer {
  #root: MemoryFolder = emptyFolder();

  #find(path: string): MemoryNode {
    let node: MemoryNode = this.#root;
    for (const part of path.split("/").filter(Boolean)) {
      const next: MemoryNode | undefined = isFolder(node) ? node.entries.get(part) : undefined;
      if (!next) throw systemError("ENOENT");
      node = next;
    }
    return node;
  }

  #folder(path: string): MemoryFolder {
    const node = this.#find(path);
    if (!isFolder(node)) throw systemError("ENOTDIR");
    return node;
  }

  async open(path: string, mode: "create" | "append"): Promise<FileSink> {
    const { entries } = this.#folder(dirname(path));
    const present = entries.get(basename(path));
    if (present && (mode === "create" || isFolder(present))) throw systemError("EEXIST");
    const file: MemoryFile =
      present && !isFolder(present) ? present : { bytes: new Uint8Array(0), synced: new Uint8Array(0) };
    entries.set(basename(path), file);
    return {
      write: async (bytes) => {
        file.bytes = new Uint8Array([...file.bytes, ...bytes]);
      },
      sync: async () => {
        file.synced = file.bytes;
      },
      close: async () => undefined,
    };
  }

  async read(path: string): Promise<Uint8Array> {
    const node = this.#find(path);
    if (isFolder(node)) throw systemError("EISDIR");
    return node.bytes;
  }

  async list(path: string): Promise<string[]> {
    return [...this.#folder(path).entries.keys()];
  }

  async makeFolder(path: string): Promise<void> {
    const { entries } = this.#folder(dirname(path));
    if (entries.has(basename(path))) throw systemError("EEXIST");
    entries.set(basename(path), emptyFolder());
  }

  async rename(from: string, to: string): Promise<void> {
    const node = this.#find(from);
    const target = this.#folder(dirname(to)).entries.get(basename(to));
    if (target && isFolder(target) && target.entries.size > 0) throw systemError("ENOTEMPTY");
    this.#folder(dirname(from)).entries.delete(basename(from));
    this.#folder(dirname(to)).entries.set(basename(to), node);
  }

  async remove(path: string): Promise<void> {
    this.#folder(dirname(path)).entries.delete(basename(path));
  }

  async syncFolder(path: string): Promise<void> {
    const folder = this.#folder(path);
    folder.synced = new Map(folder.entries);
  }

  /** Turns the state into what the device holds after a power cut now. */
  cutPower(kind: PowerCut): void {
    const settle = (node: MemoryNode): MemoryNode => {
      if (!isFolder(node)) return { bytes: node.synced, synced: node.synced };
      const kept = kind === "all-lost" ? node.synced : node.entries;
      const entries = new Map([...kept].map(([name, child]) => [name, settle(child)]));
      return { entries, synced: new Map(entries) };
    };
    this.#root = settle(this.#root) as MemoryFolder; // a folder settles to a folder
  }
}
