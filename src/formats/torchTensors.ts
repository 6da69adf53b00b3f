/**
 * From descriptions of tensors in a PyTorch checkpoint to their data. A tensor that lies in one piece takes only its own
 * bytes of its storage, so checkpoints larger than memory are read tensor by tensor; other views are gathered into copies.
 */
import { NextxError } from "../tensor/errors.ts";
import type { ByteSource } from "./byteSource.ts";
import { dtypeBytes, type HostTensor, viewTensor } from "./hostTensor.ts";
import type { TorchStorage, TorchTensor } from "./torchPickle.ts";

/** Where the bytes of storages come from. */
export interface StorageReader {
  /** `length` bytes from `offset` of a storage, verified. */
  readStorage(storage: TorchStorage, offset: number, length: number): Promise<Uint8Array>;
}

/** Elements of the storage that a tensor reaches: the first, and how many up to the last. */
function spanOf({ shape, strides, offset }: TorchTensor): { start: number; length: number } {
  if (shape.includes(0)) return { start: 0, length: 0 };
  const reach = shape.reduce((sum, side, i) => sum + (side - 1) * (strides[i] as number), 0); // equal lengths
  return { start: offset, length: reach + 1 };
}

/** Whether elements lie in row-major order without gaps; sides of 1 and empty tensors have no order. */
function isContiguous({ shape, strides }: TorchTensor): boolean {
  if (shape.includes(0)) return true;
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const side = shape[axis] as number; // in range
    if (side !== 1 && strides[axis] !== expected) return false;
    expected *= side;
  }
  return true;
}

/** The tensor's data from the bytes of its span. */
function materialise(tensor: TorchTensor, span: Uint8Array): HostTensor {
  const { dtype, shape, strides } = tensor;
  if (isContiguous(tensor)) return viewTensor(dtype, shape, span);
  const itemBytes = dtypeBytes(dtype);
  const count = shape.reduce((a, b) => a * b, 1);
  // As integers: a number of JavaScript would change the bits of signalling NaNs.
  const bits = itemBytes === 8 ? "U64" : itemBytes === 4 ? "U32" : itemBytes === 2 ? "U16" : "U8";
  const bytes = new Uint8Array(count * itemBytes);
  const arrays = [
    viewTensor(bits, [span.length / itemBytes], span).data,
    viewTensor(bits, [count], bytes).data,
  ];
  const [from, to] = arrays as [Uint32Array, Uint32Array]; // same class, whichever it is
  const position = shape.map(() => 0);
  let at = 0;
  for (let i = 0; i < count; i++) {
    to[i] = from[at] as number; // verified to lie inside
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const [side, stride] = [shape[axis] as number, strides[axis] as number]; // in range
      position[axis] = (position[axis] as number) + 1;
      at += stride;
      if ((position[axis] as number) < side) break;
      at -= side * stride;
      position[axis] = 0;
    }
  }
  return viewTensor(dtype, shape, bytes);
}

/** Reads tensors of one dict. */
export class TensorReader {
  private readonly source: ByteSource;
  private readonly storages: StorageReader;
  private readonly tensors: ReadonlyMap<string, TorchTensor>;

  constructor(source: ByteSource, storages: StorageReader, tensors: ReadonlyMap<string, TorchTensor>) {
    this.source = source;
    this.storages = storages;
    this.tensors = tensors;
  }

  async read(name: string): Promise<HostTensor> {
    const { path } = this.source;
    const tensor = this.tensors.get(name);
    if (!tensor) throw new NextxError("PTH_NO_TENSOR", `${path} has no tensor "${name}".`, { path: name });
    const itemBytes = dtypeBytes(tensor.dtype);
    const { start, length } = spanOf(tensor);
    if (length === 0) return viewTensor(tensor.dtype, tensor.shape, new Uint8Array(0));
    const span = await this.storages.readStorage(tensor.storage, start * itemBytes, length * itemBytes);
    return materialise(tensor, span);
  }

  /** A storage is read once; contiguous tensors share its memory. */
  async readAll(): Promise<Map<string, HostTensor>> {
    this.requireModest();
    const storages = new Map<string, Uint8Array>();
    const all = new Map<string, HostTensor>();
    for (const [name, tensor] of this.tensors) {
      const { storage } = tensor;
      const bytes =
        storages.get(storage.key) ?? (await this.storages.readStorage(storage, 0, storage.sizeBytes));
      storages.set(storage.key, bytes);
      const itemBytes = dtypeBytes(tensor.dtype);
      const { start, length } = spanOf(tensor);
      all.set(name, materialise(tensor, bytes.subarray(start * itemBytes, (start + length) * itemBytes)));
    }
    return all;
  }

  /** Copies may not multiply a small file without bound. */
  private requireModest(): void {
    const { path, sizeBytes } = this.source;
    const copied = [...this.tensors.values()]
      .filter((tensor) => !isContiguous(tensor))
      .reduce((sum, { shape, dtype }) => sum + shape.reduce((a, b) => a * b, dtypeBytes(dtype)), 0);
    if (copied <= 2 * sizeBytes + 2 ** 26) return;
    throw new NextxError("PTH_TOO_LARGE", `${path}: its strided tensors unfold to ${copied} bytes.`, {
      path,
      hint: "Read single tensors instead.",
    });
  }
}
