/** Safetensors files by path: the header at once, tensors when they are asked for; works above 2 GiB. */
import { NextxError } from "../tensor/errors.ts";
import { writePartsDurably } from "./durable.node.ts";
import { type HostTensor, tensorBytes, viewTensor } from "./hostTensor.ts";
import { openFile } from "./openFile.node.ts";
import {
  layOutSafetensors,
  type MetadataInput,
  parseHeader,
  parseHeaderLength,
  type SafetensorsHeader,
  type TensorInfo,
} from "./safetensors.ts";
import type { TensorForm } from "./tensorFile.ts";

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

/** Tensors to write, whose data are asked for one by one. */
export interface TensorSupply {
  readonly tensors: ReadonlyMap<string, TensorForm>;
  read(name: string): Promise<HostTensor>;
}

/**
 * Writes a file tensor by tensor: never more than one in memory. The file appears whole or not at all.
 * @throws NextxError the codes of layOutSafetensors and writeFileDurably; TENSOR_SIZE_MISMATCH when `read` gives another
 * form than announced; whatever `read` throws
 */
export async function writeSafetensorsFile(
  path: string,
  supply: TensorSupply,
  metadata: MetadataInput = {},
  onProgress: (writtenBytes: number, totalBytes: number) => void = () => {},
): Promise<{ readonly sizeBytes: number }> {
  const { header, order, sizeBytes } = layOutSafetensors(supply.tensors, metadata);
  async function* parts(): AsyncGenerator<Uint8Array> {
    yield header;
    let written = header.length;
    for (const name of order) {
      const tensor = await supply.read(name);
      const form = supply.tensors.get(name);
      if (tensor.dtype !== form?.dtype || String(tensor.shape) !== String(form.shape)) {
        throw new NextxError("TENSOR_SIZE_MISMATCH", `${tensor.dtype} [${tensor.shape}] was not announced.`, {
          path: name,
        });
      }
      const bytes = tensorBytes(tensor);
      yield bytes;
      written += bytes.length;
      onProgress(written, sizeBytes);
    }
  }
  await writePartsDurably(path, parts());
  return { sizeBytes };
}
