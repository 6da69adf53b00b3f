/** One event of a batch as the events of the requests in it. */
import type { SampleEvent } from "./regimen/system.ts";

/** Events of consecutive requests of `counts` pictures each. */
export function splitEvent(event: SampleEvent, counts: readonly number[]): SampleEvent[] {
  if (counts.length === 1) return [event];
  const total = counts.reduce((sum, count) => sum + count, 0);
  let start = 0;
  return counts.map((count) => {
    const own = <T extends Uint8Array | Int32Array>(all: T): T => {
      const each = all.length / total;
      return all.slice(start * each, (start + count) * each) as T; // slice keeps the kind of array
    };
    const { done, pixels, ids, native } = event;
    const split = {
      done,
      total: event.total,
      pixels: own(pixels),
      ids: ids.map((group) => own(group)),
      ...(native && { native: { size: native.size, pixels: own(native.pixels) } }),
    };
    start += count;
    return split;
  });
}
