/** Sends a file in parts, each of a size that the line brings well before the server cuts a request. */
import { filePartBytes } from "../src/server/limits.ts";
import { ApiError } from "./apiError.ts";

const [leastBytes, firstBytes] = [64 * 2 ** 10, 2 ** 20];
/** After a part that took less, the next one is larger. */
const quickMs = 2000;

export interface Line {
  /** Sends the bytes from `start` to `end`. */
  send(start: number, end: number): Promise<void>;
  /** How many bytes are there: a part may have come although its answer did not. */
  received(): Promise<number>;
  onProgress(done: number, total: number): void;
}

/** Sends what follows on `from`. Errors: what the server refuses; ApiError OFFLINE where even a small part does not come. */
export async function sendParts(line: Line, from: number, total: number): Promise<void> {
  let bytes = firstBytes;
  for (let at = from; at < total; ) {
    line.onProgress(at, total);
    const end = Math.min(total, at + bytes);
    const startMs = performance.now();
    try {
      await line.send(at, end);
      at = end;
      if (performance.now() - startMs < quickMs) bytes = Math.min(filePartBytes, 2 * bytes);
    } catch (error) {
      const isCut = error instanceof ApiError && error.code === "OFFLINE";
      if (!isCut || bytes === leastBytes) throw error;
      bytes /= 2;
      at = await line.received();
    }
  }
}
