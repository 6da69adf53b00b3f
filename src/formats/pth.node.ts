/** PyTorch checkpoints by path: structure at once, tensors when they are asked for; works above 2 GiB. */
import { openFile } from "./openFile.node.ts";
import { openPth, type PthFile } from "./pth.ts";

/** An open checkpoint; close it, or use `await using`. */
export interface OpenedPth extends PthFile, AsyncDisposable {
  readonly path: string;
  readonly sizeBytes: number;
  close(): Promise<void>;
}

/** @throws NextxError the codes of openFile and openPth */
export async function openPthFile(path: string): Promise<OpenedPth> {
  const file = await openFile(path);
  const close = () => file.close();
  try {
    const pth = await openPth(file);
    return { ...pth, path, sizeBytes: file.sizeBytes, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}
