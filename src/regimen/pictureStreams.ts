/** The random stream of each picture of a request: its own seed and index, whatever else is in the batch. */
import { RandomStream } from "../tensor/random.ts";
import type { SampleRequest } from "./system.ts";

/** Streams of the pictures `first` to `first + count` of a request. */
export function pictureStreams(
  { seed, draws }: Pick<SampleRequest, "seed" | "draws">,
  first: number,
  count: number,
): RandomStream[] {
  return Array.from({ length: count }, (_, i) => {
    const draw = draws?.[first + i] ?? { seed, index: first + i };
    return RandomStream.from(draw.seed, `sample/${draw.index}`);
  });
}
