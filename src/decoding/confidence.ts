/** Choosing sites by how sure the model was of them: what masked decoding draws again. Source: HMAR `models/hmar.py` (code). */

/**
 * Flags of the `count` least confident of `size` sites, 1 = chosen, among candidates where given; on ties the first sites.
 * Fewer are chosen when there are fewer candidates.
 */
export function leastConfident(
  confidence: ArrayLike<number>,
  size: number,
  count: number,
  candidates?: Uint8Array,
): Uint8Array {
  const order = Array.from({ length: size }, (_, i) => i).filter((i) => candidates?.[i] !== 0);
  order.sort((a, b) => (confidence[a] as number) - (confidence[b] as number) || a - b); // in range
  const flags = new Uint8Array(size);
  for (const site of order.slice(0, count)) flags[site] = 1;
  return flags;
}
