/** Safetensors files by path: the header at once, tensors when they are asked for; works above 2 GiB. */
import { NextxError } from "../tensor/errors.ts";
import { type HostTensor, viewTensor } from "./hostTensor.ts";
import { openFile } from "./openFile.node.ts";
import { parseHeader, parseHeaderLength, type SafetensorsHeader, type TensorInfo } from "./safetensors.ts";

/** An open file; close it, or use `await using`. */
export interface SafetensorsFile extends SafetensorsHeader, AsyncDisposable {
  readonly path: string;
  readonly sizeBytes: number;
  /** One tensor's data. @throws NextxError SAFETENSORS_NO_TENSOR, and the codes of reading an opened file */
  read(name: string): Promise<HostTensor>;
  close(): Promise<void>;
}

/**
 * Opens and checks a file without reading tensors. `tensors` gives offset and size in the file of each.
 * @throws NextxError the codes of openFile, parseHeaderLength and parseHeader
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await openFile(path);
  try {
    const length = parseHeaderLength(await file.read(0, Math.min(8, file.sizeBytes)), file.sizeBytes, path);
    const header = parseHeader(await file.read(8, length), file.sizeBytes, path);
    const read = async (name: string): Promise<HostTensor> => {
      const { dtype, shape, offset, sizeBytes } = header.tensors.get(name) ?? missing(path, name);
      return viewTensor(dtype, shape, await file.read(offset, sizeBytes));
    };
    const close = () => file.close();
    return { ...header, path, sizeBytes: file.sizeBytes, read, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function missing(path: string, name: string): TensorInfo {
  throw new NextxError("SAFETENSORS_NO_TENSOR", `${path} has no tensor "${name}".`, { path: name });
}
