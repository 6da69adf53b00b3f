/**
 * NumPy's .npz: a zip archive of .npy arrays, stored or deflated, as numpy.savez and numpy.savez_compressed write it. Forms
 * are read at once, data one array at a time. Archives that unpack to far more than they hold are refused before anything
 * is unpacked. Source: numpy/lib/_npyio_impl.py (`_savez`).
 */
import { NextxError } from "../tensor/errors.ts";
import { type ByteSource, readAhead } from "./byteSource.ts";
import { npyStartBytes, parseNpyStart, readNpy } from "./npy.ts";
import { readEach, type TensorDict, type TensorForm } from "./tensorFile.ts";
import { readZipDirectory, type ZipEntry } from "./zipDirectory.ts";
import { readEntry, readEntryStart } from "./zipEntry.ts";

/** An archive may unpack to this many times its size, and to this many bytes more. */
const maxRatio = 20;
const freeBytes = 2 ** 20;
const suffix = ".npy";

/** Whether an archive is rather an .npz than a checkpoint of PyTorch; openNpz refuses other files beside its arrays. */
export function isNpz(names: Iterable<string>): boolean {
  const all = [...names];
  return all.some((name) => name.endsWith(suffix)) && !all.some((name) => name.endsWith("/data.pkl"));
}

/**
 * Opens an archive of arrays; names are without `.npy`.
 * @throws NextxError NPZ_NOT_ARRAYS, NPZ_TOO_LARGE, the codes of readZipDirectory and parseNpyStart; reading NPZ_NO_TENSOR,
 * the codes of readEntry
 */
export async function openNpz(source: ByteSource): Promise<TensorDict> {
  const { path } = source;
  const entries = await readZipDirectory(source, { deflate: true });
  if (entries.size === 0 || ![...entries.keys()].every((name) => name.endsWith(suffix))) {
    throw new NextxError("NPZ_NOT_ARRAYS", `${path} is a zip archive, but not of .npy arrays alone.`, {
      path,
      hint: "Save arrays with numpy.savez.",
    });
  }
  requireModest(source, [...entries.values()]);
  const starts = readAhead(source);
  const byName = new Map<string, ZipEntry>();
  const tensors = new Map<string, TensorForm>();
  for (const [file, entry] of entries) {
    const name = file.slice(0, -suffix.length);
    const start = await readEntryStart(starts, entry, npyStartBytes);
    const { dtype, shape } = located(name, () => parseNpyStart(start, entry.sizeBytes));
    byName.set(name, entry);
    tensors.set(name, { dtype, shape });
  }
  const read = async (name: string) => {
    const entry = byName.get(name);
    if (!entry) throw new NextxError("NPZ_NO_TENSOR", `${path} has no array "${name}".`, { path: name });
    const bytes = await readEntry(source, entry);
    return located(name, () => readNpy(bytes));
  };
  return { key: "", tensors, skipped: [], read, readAll: () => readEach({ tensors, read }) };
}

function requireModest({ path, sizeBytes }: ByteSource, entries: readonly ZipEntry[]): void {
  const unpacked = entries.reduce((total, entry) => total + entry.sizeBytes, 0);
  if (unpacked <= maxRatio * sizeBytes + freeBytes) return;
  throw new NextxError("NPZ_TOO_LARGE", `${path} says that its ${sizeBytes} bytes unpack to ${unpacked}.`, {
    path,
    hint: "If it is honest, save it with numpy.savez, which does not pack.",
  });
}

/** Says which array of the archive it was. */
function located<T>(name: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof NextxError)) throw error;
    const { code, message, hint } = error;
    throw new NextxError(code, message, { path: name, ...(hint && { hint }), cause: error });
  }
}
