/**
 * CIFAR-10, a balanced part of it: 10,000 training and 5,000 test photographs of 32 px. Its authors state no licence:
 * numbers and figures may be shown, neither the pictures nor models made from them ship.
 * Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".
 */
import { dataHomes } from "./homes.ts";
import { openPartedStrips } from "./partedStrips.node.ts";
import type { ImageSet, Split } from "./types.ts";

/** Class names in the order of the labels. */
export const cifar10ClassNames: readonly string[] = [
  "airplane",
  "automobile",
  "bird",
  "cat",
  "deer",
  "dog",
  "frog",
  "horse",
  "ship",
  "truck",
];

/**
 * One split of CIFAR-10 at 32 px; keeps 31 MB (test: 15 MB).
 * @throws NextxError as `openPartedStrips`
 */
export function openCifar10(split: Split, dataRoot: string): Promise<ImageSet> {
  const set = {
    id: "cifar10",
    home: dataHomes.cifar10,
    classNames: cifar10ClassNames,
    stripName: (part: string, k: number) => `${part}-${String(k).padStart(2, "0")}.png`,
    side: 32,
    smallestSize: 32,
    perStrip: 1000,
  };
  return openPartedStrips(set, 32, split, dataRoot);
}
