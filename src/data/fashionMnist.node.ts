/**
 * Fashion-MNIST from its official IDX files: 28 px grey pictures with a black border to 32 px, grey copied to RGB.
 * The official training file is split once into 55,000 train and 5,000 validation pictures; t10k is the test split.
 * Source: Xiao et al. 2017, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms".
 */
import { readIdx } from "../formats/idx.ts";
import { RandomStream } from "../tensor/random.ts";
import { readDataFile } from "./dataFiles.node.ts";
import { Fnv64 } from "./hash.ts";
import { dataHomes } from "./homes.ts";
import { createPictureSet } from "./pictureSet.ts";
import { badDataFile } from "./strips.node.ts";
import type { ImageSet, Split } from "./types.ts";

/** Class names in the order of the labels. */
export const fashionMnistClassNames: readonly string[] = [
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot",
];

const home = dataHomes["fashion-mnist"];
const fileSide = 28;
const size = 32;
const validationLength = 5000;

/** Which pictures of the official file belong to a split. */
function membersOf(split: Split, length: number): Uint32Array {
  if (split === "test") return Uint32Array.from({ length }, (_, i) => i);
  const order = RandomStream.from(0, "data/split/fashion-mnist").permutation(length);
  const cut = Math.min(validationLength, length);
  return (split === "validation" ? order.slice(0, cut) : order.slice(cut)).sort();
}

/** A 28 px grey picture in the middle of 32 px RGB. */
function padToRgb(grey: Uint8Array): Uint8Array {
  const margin = (size - fileSide) / 2;
  const pixels = new Uint8Array(size * size * 3);
  for (let i = 0; i < grey.length; i++) {
    const at = ((Math.floor(i / fileSide) + margin) * size + (i % fileSide) + margin) * 3;
    pixels.fill(grey[i] as number, at, at + 3); // i in range
  }
  return pixels;
}

/** The bytes and sides of one file. */
async function readBytes(
  dataRoot: string,
  name: string,
): Promise<{ shape: readonly number[]; data: Uint8Array }> {
  const { dtype, shape, data } = readIdx(await readDataFile(dataRoot, home, name), {
    path: `${home.folder}/${name}`,
  });
  if (dtype !== "U8") throw badDataFile(home, name, `Fashion-MNIST is made of bytes, got ${dtype}.`);
  return { shape, data };
}

/**
 * One split of Fashion-MNIST at 32 px; keeps the grey bytes (47 MB for train and validation).
 * @throws NextxError DATA_NOT_FOUND, DATA_UNREADABLE, DATA_BAD_FILE and the codes of `readIdx`
 */
export async function openFashionMnist(split: Split, dataRoot: string): Promise<ImageSet> {
  const part = split === "test" ? "t10k" : "train";
  const imagesName = `${part}-images-idx3-ubyte.gz`;
  const images = await readBytes(dataRoot, imagesName);
  const labels = await readBytes(dataRoot, `${part}-labels-idx1-ubyte.gz`);
  const length = labels.data.length;
  const fits = images.shape.join() === [length, fileSide, fileSide].join() && labels.shape.length === 1;
  if (!fits || labels.data.some((label) => label > 9)) {
    const got = `${images.shape.join(" x ")} and ${labels.shape.join(" x ")}`;
    throw badDataFile(
      home,
      imagesName,
      `Fashion-MNIST has n pictures of 28 x 28 and n labels from 0 to 9, got ${got}.`,
    );
  }
  const pictureLength = fileSide * fileSide;
  return createPictureSet({
    id: "fashion-mnist",
    split,
    size,
    classNames: fashionMnistClassNames,
    version: new Fnv64().update(images.data).update(labels.data).digest(),
    members: membersOf(split, length),
    read: (member) => ({
      pixels: padToRgb(images.data.subarray(member * pictureLength, (member + 1) * pictureLength)),
      label: labels.data[member] as number, // members are below length
    }),
  });
}
