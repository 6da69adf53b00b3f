/**
 * EuroSAT in RGB, a balanced part of it: 1,000 training and 300 test satellite photographs of 64 px; at 32 px each pixel is
 * the mean of four. Contains modified Copernicus Sentinel data.
 * Source: Helber et al. 2019, "EuroSAT: A Novel Dataset and Deep Learning Benchmark for Land Use and Land Cover
 * Classification".
 */
import { dataHomes } from "./homes.ts";
import { openPartedStrips } from "./partedStrips.node.ts";
import type { ImageSet, Split } from "./types.ts";

/** Class names in the order of the labels. */
export const eurosatClassNames: readonly string[] = [
  "annual crop",
  "forest",
  "herbaceous vegetation",
  "highway",
  "industrial",
  "pasture",
  "permanent crop",
  "residential",
  "river",
  "sea or lake",
];

/** Sides in pixels. */
export const eurosatSizes = [32, 64] as const;

/**
 * One split of EuroSAT at 32 or 64 px; keeps at most 15 MB.
 * @throws NextxError as `openPartedStrips`
 */
export function openEurosat(size: number, split: Split, dataRoot: string): Promise<ImageSet> {
  const set = {
    id: "eurosat",
    home: dataHomes.eurosat,
    classNames: eurosatClassNames,
    stripName: (part: string, k: number) => `${part}-${k}.png`,
    side: 64,
    smallestSize: 32,
    perStrip: 500,
  };
  return openPartedStrips(set, size, split, dataRoot);
}
