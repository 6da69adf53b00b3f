/**
 * `nextx export MODEL --onnx FOLDER`: graphs as small .onnx files of standard operators over one weights.safetensors,
 * manifest.json, which tells any ONNX runtime the loop, and the loop as programs. The folder appears whole or not at all.
 */

import { existsSync, readFileSync } from "node:fs";
import { copyFile, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted } from "./decoding/loop.ts";
import { temporaryName } from "./formats/durable.node.ts";
import { fileError, systemErrorCode } from "./formats/durableLayer.node.ts";
import { openSafetensors, writeSafetensorsFile } from "./formats/safetensors.node.ts";
import { fromValue } from "./formats/tensorValue.ts";
import { validate } from "./formats/validate.ts";
import { systemOf } from "./model.ts";
import { findModel, packageRoot } from "./models.node.ts";
import type { LoopDescription, LoopExport } from "./regimen/exportLoop.ts";
import { openCpu } from "./runtime/device.node.ts";
import { type ExternalWeight, lowerToOnnx, type WeightSource } from "./runtime/onnx.ts";
import type { Graph } from "./runtime/trace.ts";
import type { Value } from "./runtime/values.ts";
import { shapeText } from "./tensor/dims.ts";
import { NextxError } from "./tensor/errors.ts";
import type { Provider, Tensor } from "./tensor/tensor.ts";

/** A tensor that a graph takes or gives; shapes name symbols such as "B". */
interface Port {
  readonly name: string;
  readonly dtype: string;
  readonly shape: string;
}

/** manifest.json. */
export interface LoopManifest extends LoopDescription {
  readonly format: "nextx-onnx-loop";
  readonly version: 2;
  readonly model: { readonly name: string; readonly sha256: string; readonly system: string };
  readonly imageSize: number;
  readonly classNames: readonly string[];
  readonly graphs: Readonly<
    Record<
      string,
      {
        readonly file: string;
        readonly inputs: readonly Port[];
        /** By the graph's own name; `name` is that in the file. */
        readonly outputs: Readonly<Record<string, Port>>;
      }
    >
  >;
  /** Little-endian float32, row-major, at an offset of a file. */
  readonly tensors: Readonly<
    Record<string, { readonly file: string; readonly offset: number; readonly shape: readonly number[] }>
  >;
}

const weightsFile = "weights.safetensors";
/** Starts the names of the loop's own tensors in the weights' file. */
const loopPrefix = "loop.";
/** Programs that run a folder with a plain runtime; each lies in it. */
const programs = ["loop.mjs", "loop.py"] as const;
/** Its lowerings take standard operators only: com.microsoft has no kernels for it. */
const portable: Provider = "webgpu";

export interface ExportLoopOptions {
  /** Sampling settings that become the folder's defaults: a schedule, a form of guidance. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Replaces a folder that is an export. */
  readonly force?: boolean;
  /** Asked before every graph and every tensor that is written. */
  readonly signal?: AbortSignal;
}

const port = (name: string, { dtype, shape }: Tensor): Port => ({ name, dtype, shape: shapeText(shape) });

/**
 * Writes the loop of a model with these sampling settings (a schedule, a form of guidance) as defaults.
 * @throws NextxError FILE_EXISTS, EXPORT_NO_LOOP, CONFIG_ codes, ABORTED, and the codes of findModel and of writing
 */
export async function exportLoop(
  name: string,
  folder: string,
  { settings = {}, force = false, signal }: ExportLoopOptions = {},
): Promise<LoopManifest> {
  if (existsSync(folder) && !(force && isExport(folder))) {
    throw new NextxError("FILE_EXISTS", `${folder} exists${force ? " and is no export of nextx" : ""}.`, {
      path: folder,
      hint: force ? "Choose another name." : "Choose another name, or pass --force.",
    });
  }
  const { description, weights, sha256, card, recipeName } = await findModel(name);
  const system = systemOf(description.system);
  if (!system.exportLoop)
    throw new NextxError("EXPORT_NO_LOOP", `${system.title} has no loop to export.`, { path: name });
  const chosen = validate(system.samplingSchema, { ...card?.sampling, ...settings }, "sampling");
  throwIfAborted(signal);
  const loop = await system.exportLoop(description, weights, chosen, await openCpu({ threads: 2 }));
  const model = { name: recipeName, sha256, system: system.id };
  const { imageSize, classNames } = description;
  return await appearing(folder, force, async (temporary) => {
    const written = await writeLoop(temporary, loop, weights, signal);
    const manifest: LoopManifest = {
      ...{ format: "nextx-onnx-loop", version: 2, model, imageSize, classNames },
      ...loop.description,
      ...written,
    };
    await writeFile(join(temporary, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
    for (const file of programs)
      await copyFile(join(packageRoot(), "examples", "onnx", file), join(temporary, file));
    throwIfAborted(signal);
    return manifest;
  });
}

/** Fills a folder under another name first; nothing is left of it when that fails. */
async function appearing<T>(
  folder: string,
  force: boolean,
  fill: (temporary: string) => Promise<T>,
): Promise<T> {
  const temporary = temporaryName(folder);
  await mkdir(temporary, { recursive: true }).catch((cause: unknown) => {
    throw fileError(cause, folder, "make");
  });
  try {
    const made = await fill(temporary);
    await (force && existsSync(folder) ? replace(folder, temporary) : rename(temporary, folder));
    return made;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    // what is no failed system call is a bug, and stays one
    throw systemErrorCode(error) === undefined ? error : fileError(error, folder, "write");
  }
}

/** Puts a folder in another's place, which goes only when the new one stands. */
async function replace(folder: string, temporary: string): Promise<void> {
  const old = temporaryName(folder);
  await rename(folder, old);
  try {
    await rename(temporary, folder);
  } catch (error) {
    await rename(old, folder);
    throw error;
  }
  await rm(old, { recursive: true, force: true });
}

/** Writes weights and graphs. */
async function writeLoop(
  folder: string,
  { graphs, tensors }: LoopExport,
  weights: ReadonlyMap<string, Value>,
  signal: AbortSignal | undefined,
): Promise<Pick<LoopManifest, "graphs" | "tensors">> {
  const used = new Map(
    [...weights].filter(([key]) => Object.values(graphs).some((graph) => graph.weights.has(key))),
  );
  for (const [key, value] of tensors) used.set(loopPrefix + key, value);
  const places = await writeWeights(join(folder, weightsFile), used, signal);
  const written: Record<string, LoopManifest["graphs"][string]> = {};
  for (const [key, graph] of Object.entries(graphs)) {
    throwIfAborted(signal);
    written[key] = await writeGraph(folder, key, graph, places);
  }
  const own = [...tensors].map(([key, { shape }]) => {
    const { file } = places.get(loopPrefix + key) as ExternalWeight; // written just now
    return [key, { file: weightsFile, offset: file.offset, shape }] as const;
  });
  return { graphs: written, tensors: Object.fromEntries(own) };
}

function isExport(folder: string): boolean {
  try {
    return JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")).format === "nextx-onnx-loop";
  } catch {
    return false; // whatever it is, it is not ours
  }
}

/** Writes float32 tensors; returns where each lies. */
async function writeWeights(
  path: string,
  weights: ReadonlyMap<string, Value>,
  signal: AbortSignal | undefined,
): Promise<Map<string, ExternalWeight>> {
  const forms = new Map([...weights].map(([name, { shape }]) => [name, { dtype: "F32", shape } as const]));
  const read = async (name: string) => {
    throwIfAborted(signal);
    return fromValue(weights.get(name) as Value); // announced above
  };
  await writeSafetensorsFile(path, { tensors: forms, read });
  await using file = await openSafetensors(path);
  return new Map(
    [...file.tensors].map(([name, { shape, offset, sizeBytes }]) => [
      name,
      { shape, file: { stored: "float32" as const, name: weightsFile, offset, sizeBytes } },
    ]),
  );
}

async function writeGraph(
  folder: string,
  key: string,
  graph: Graph,
  places: ReadonlyMap<string, WeightSource>,
): Promise<LoopManifest["graphs"][string]> {
  const file = `${key}.onnx`;
  const own = new Map(
    [...graph.weights.keys()].flatMap((name) => {
      const place = places.get(name);
      return place ? [[name, place] as const] : [];
    }),
  );
  const { bytes, feeds, outputs } = lowerToOnnx(graph, portable, own);
  await writeFile(join(folder, file), bytes);
  const given = Object.entries<Tensor>(graph.outputs).map(([name, tensor]) => [
    name,
    port(outputs.get(name) ?? name, tensor),
  ]);
  return {
    file,
    inputs: [...feeds].map(([name, tensor]) => port(name, tensor)),
    outputs: Object.fromEntries(given),
  };
}
