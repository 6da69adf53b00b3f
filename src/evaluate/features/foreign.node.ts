/**
 * Foreign extractors from folders that the user gives: SqueezeNet 1.1, MobileNetV2, Tiny Darknet. Nothing is downloaded;
 * what a folder must hold is what its documentation lists. Inputs default to 96 px, where all three still tell classes
 * apart (ridge probes on CIFAR-10: 68, 78 and 74 %).
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { sha256Hex } from "../../formats/durable.node.ts";
import type { HostTensor } from "../../formats/hostTensor.ts";
import { openFile } from "../../formats/openFile.node.ts";
import { readSafetensors } from "../../formats/safetensors.ts";
import { validate } from "../../formats/validate.ts";
import { squeezeNet, squeezeNetWeights } from "../../nn/squeezeNet.ts";
import type { Device } from "../../runtime/device.ts";
import { NextxError } from "../../tensor/errors.ts";
import { mobileNetGraphSchema, mobileNetV2, mobileNetWeights } from "./mobileNetV2.ts";
import { openNetwork } from "./network.ts";
import { tinyDarknet, tinyDarknetWeights } from "./tinyDarknet.ts";
import type { FeatureExtractor } from "./types.ts";

export interface ForeignOptions {
  readonly device: Device;
  /** Side in pixels that pictures are resized to: a multiple of 32 from 32 to 512; 96 when absent. */
  readonly inputSize?: number;
}

/** Every byte of a file. @throws NextxError FILE_ codes */
export async function readWhole(path: string): Promise<Uint8Array> {
  await using file = await openFile(path);
  return await file.read(0, file.sizeBytes);
}

interface WeightsFile {
  readonly tensors: ReadonlyMap<string, HostTensor>;
  readonly sha256: string;
}

async function readWeights(path: string): Promise<WeightsFile> {
  const bytes = await readWhole(path);
  return { tensors: readSafetensors(bytes, path).tensors, sha256: sha256Hex(bytes) };
}

function sideOf({ inputSize = 96 }: ForeignOptions): number {
  if (Number.isInteger(inputSize) && inputSize >= 32 && inputSize <= 512 && inputSize % 32 === 0)
    return inputSize;
  throw new NextxError("FEATURES_BAD_SIZE", `An input has 32, 64, ... 512 px, got ${inputSize}.`, {
    path: "inputSize",
  });
}

/** A name that says at which size pictures are looked at: other sizes give other features. */
const named = (name: string, side: number): string => `${name} @${side}`;

/** Mean of fire9 (512). Reads `squeezenet-1.1-notop.safetensors`. @throws NextxError FILE_, SAFETENSORS_, CHECKPOINT_ codes */
export async function openSqueezeNet(folder: string, options: ForeignOptions): Promise<FeatureExtractor> {
  const inputSize = sideOf(options);
  const { tensors, sha256 } = await readWeights(join(folder, "squeezenet-1.1-notop.safetensors"));
  return openNetwork(
    {
      name: named("squeezenet-1.1 fire9", inputSize),
      sha256,
      inputSize,
      weights: squeezeNetWeights(tensors),
      describe: squeezeNet,
    },
    options.device,
  );
}

/** Mean of leaky_re_lu_14 (512), 1,000 logits. Reads `tiny-darknet.safetensors`. @throws NextxError as openSqueezeNet */
export async function openTinyDarknet(folder: string, options: ForeignOptions): Promise<FeatureExtractor> {
  const inputSize = sideOf(options);
  const { tensors, sha256 } = await readWeights(join(folder, "tiny-darknet.safetensors"));
  return openNetwork(
    {
      name: named("tiny-darknet leaky14", inputSize),
      sha256,
      inputSize,
      weights: tinyDarknetWeights(tensors),
      describe: tinyDarknet,
    },
    options.device,
  );
}

/**
 * The global mean (1,280), 1,001 logits. Reads `mobilenet-v2-int8.safetensors` and `graph.json`.
 * @throws NextxError as openSqueezeNet, FEATURES_BAD_NETWORK, CONFIG_BAD_VALUE
 */
export async function openMobileNetV2(folder: string, options: ForeignOptions): Promise<FeatureExtractor> {
  const inputSize = sideOf(options);
  const { tensors, sha256 } = await readWeights(join(folder, "mobilenet-v2-int8.safetensors"));
  const path = join(folder, "graph.json");
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(await readWhole(path)));
  } catch (cause) {
    if (cause instanceof NextxError) throw cause;
    throw new NextxError("FEATURES_BAD_NETWORK", `${path} is not JSON.`, { path, cause });
  }
  const graph = validate(mobileNetGraphSchema, json, "graph");
  return openNetwork(
    {
      name: named("mobilenet-v2 mean", inputSize),
      sha256,
      inputSize,
      weights: mobileNetWeights(tensors, graph),
      describe: (pictures) => mobileNetV2(graph, pictures),
    },
    options.device,
  );
}

/** Folders of foreign weights under a data root, and what opens them. */
export const foreignFolders: Readonly<
  Record<string, (folder: string, options: ForeignOptions) => Promise<FeatureExtractor>>
> = {
  "weights-squeezenet-1.1": openSqueezeNet,
  "weights-mobilenet-v2-int8": openMobileNetV2,
  "weights-tiny-darknet": openTinyDarknet,
};

/** Opens those whose folder is there. @throws NextxError what opening one throws */
export async function openForeign(dataRoot: string, options: ForeignOptions): Promise<FeatureExtractor[]> {
  const opened: FeatureExtractor[] = [];
  for (const [name, open] of Object.entries(foreignFolders))
    if (existsSync(join(dataRoot, name))) opened.push(await open(join(dataRoot, name), options));
  return opened;
}
