/** What was made before, kept in this browser only (IndexedDB). Without storage the studio works and forgets. */
import type { FormValues } from "./form.ts";

export interface HistoryEntry {
  readonly id: number;
  readonly form: FormValues;
  readonly results: readonly {
    readonly model: string;
    readonly grid: string;
    readonly pictures: readonly string[];
  }[];
}

const maxEntries = 60;
/** Of the pictures' base64, which the page holds all at once. */
const maxCharacters = 48 * 2 ** 20;

/** The newest entries that are kept; the first always is. */
export function fitting(newestFirst: readonly HistoryEntry[]): HistoryEntry[] {
  let characters = 0;
  return newestFirst.slice(0, maxEntries).filter(({ form, results }, i) => {
    for (const { grid, pictures } of results)
      characters += grid.length + pictures.reduce((sum, picture) => sum + picture.length, 0);
    characters += (form.edit?.png.length ?? 0) + (form.edit?.mask?.length ?? 0);
    return i === 0 || characters <= maxCharacters;
  });
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("nextx", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("history", { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function withStore<T>(
  mode: IDBTransactionMode,
  use: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const database = await open();
  try {
    return await new Promise<T>((resolve, reject) => {
      const transaction = database.transaction("history", mode);
      const request = use(transaction.objectStore("history"));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** Newest first; empty where the browser keeps nothing. */
export async function readHistory(): Promise<HistoryEntry[]> {
  try {
    const all = (await withStore("readonly", (store) => store.getAll())) as HistoryEntry[];
    return fitting(all.reverse());
  } catch {
    return [];
  }
}

/** Adds an entry and drops what is too old; returns whether it was kept. */
export async function addHistory(entry: HistoryEntry): Promise<boolean> {
  try {
    await withStore("readwrite", (store) => store.put(entry));
    const ids = await withStore("readonly", (store) => store.getAllKeys());
    for (const id of ids.slice(0, Math.max(0, ids.length - maxEntries)))
      await withStore("readwrite", (store) => store.delete(id));
    return true;
  } catch {
    return false; // private mode, or the quota is used up
  }
}

export async function removeHistory(id: number): Promise<void> {
  await withStore("readwrite", (store) => store.delete(id)).catch(() => undefined); // nothing was kept
}

export async function clearHistory(): Promise<void> {
  await withStore("readwrite", (store) => store.clear()).catch(() => undefined); // nothing was kept
}
