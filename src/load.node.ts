/** Opening a model and making pictures with it: what a program written with nextx calls first. */
import { basename, resolve } from "node:path";
import { suggestion } from "./formats/suggest.ts";
import { validate } from "./formats/validate.ts";
import { type FoundModel, findModel, type ModelCard } from "./models.node.ts";
import type { Weights } from "./nn/scope.ts";
import type { EditRequest, ImageModel, ImageSystem, SampleEvent } from "./regimen/system.ts";
import { openCpu } from "./runtime/device.node.ts";
import type { Device } from "./runtime/device.ts";
import { exportOnnx } from "./runtime/program.ts";
import { imageSystems } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";

export interface LoadOptions {
  /** Threads of the processor; 2 when absent. The same number gives the same bits. */
  readonly threads?: number;
}

export interface SampleOptions {
  /** A class by number or name, or one per picture; absent cycles through all classes. */
  readonly class?: number | string | readonly (number | string)[];
  /** Pictures; as many as classes given, else 1. */
  readonly count?: number;
  /** 0 to 2^53 - 1; 0 when absent. The same seed gives the same pictures on the same machine and versions. */
  readonly seed?: number;
  /** Show every step, not only the last. */
  readonly previews?: boolean;
  readonly edit?: EditRequest;
  readonly signal?: AbortSignal;
  /** Settings of the system (cfgScale, topK, ...). */
  readonly [setting: string]: unknown;
}

/** How pictures were made: everything that `reproduce` needs. */
export interface SampleRecipe {
  readonly nextx: "sample";
  readonly version: 1;
  readonly model: string;
  readonly sha256: string;
  readonly labels: readonly (number | null)[];
  readonly seed: number;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** An opened model. Dispose when done. */
export class Model implements Disposable {
  readonly name: string;
  readonly sha256: string;
  readonly card: ModelCard | undefined;
  readonly system: ImageSystem;
  readonly #model: ImageModel;
  /** Package and version that computes. */
  readonly runtime: string;
  readonly #weights: Weights;

  constructor(found: FoundModel, system: ImageSystem, model: ImageModel, runtime: string) {
    this.runtime = runtime;
    this.name = found.name;
    this.sha256 = found.sha256;
    this.card = found.card;
    this.system = system;
    this.#model = model;
    this.#weights = found.weights;
  }

  get classNames(): readonly string[] {
    return this.#model.description.classNames;
  }

  /** Side of its pictures in pixels. */
  get imageSize(): number {
    return this.#model.description.imageSize;
  }

  /** Programs that `exportOnnx` knows. */
  get graphNames(): readonly string[] {
    return Object.keys(this.#model.graphs);
  }

  /** Number of a class given by number or name. @throws NextxError LABEL_OUT_OF_RANGE, LABEL_UNKNOWN */
  classNumber(given: number | string): number {
    const { classNames } = this;
    const text = String(given);
    if (/^-?\d+$/.test(text)) {
      const label = Number(text);
      if (label >= 0 && label < classNames.length) return label;
      throw new NextxError(
        "LABEL_OUT_OF_RANGE",
        `${this.name} has classes 0 to ${classNames.length - 1}, got ${text}.`,
        { path: "class" },
      );
    }
    const label = classNames.findIndex((name) => name.toLowerCase() === text.toLowerCase());
    if (label >= 0) return label;
    throw new NextxError("LABEL_UNKNOWN", `${this.name} has no class "${text}".`, {
      path: "class",
      hint: suggestion(text, classNames),
    });
  }

  /** Checked and completed: what `sample` will do. @throws NextxError SAMPLING_BAD_OPTION, LABEL_ and CONFIG_ codes */
  recipe(options: SampleOptions = {}): SampleRecipe {
    const { class: given, count, seed = 0, previews: _, edit, signal: __, ...settings } = options;
    const classes = given === undefined ? [] : [given].flat();
    const total = count ?? Math.max(1, classes.length);
    if (!Number.isSafeInteger(total) || total < 1 || total > 10_000)
      throw new NextxError("SAMPLING_BAD_OPTION", `count is 1 to 10000, got ${total}.`, { path: "count" });
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new NextxError(
        "RANDOM_BAD_SEED",
        `A seed is an integer from 0 to 2^53 - 1, got ${String(seed)}.`,
        {
          path: "seed",
        },
      );
    }
    const numbers = classes.map((name) => this.classNumber(name));
    const labels = Array.from({ length: total }, (_, i) => {
      if (numbers.length > 0) return numbers[i % numbers.length] as number; // at least one
      return edit ? null : i % this.classNames.length;
    });
    const chosen = validate(this.system.samplingSchema, { ...this.card?.sampling, ...settings }, "sampling");
    return {
      nextx: "sample",
      version: 1,
      model: this.card ? this.name : basename(resolve(this.name)),
      sha256: this.sha256,
      labels,
      seed,
      settings: chosen,
    };
  }

  /** Makes pictures; the last event holds all of them finished. @throws NextxError ABORTED and those of `recipe` */
  async *sample(options: SampleOptions = {}): AsyncGenerator<SampleEvent> {
    const { labels, seed, settings } = this.recipe(options);
    const { previews = false, edit, signal } = options;
    yield* this.#model.sample({
      labels: labels.map((label) => label ?? undefined),
      seed,
      options: settings,
      previews,
      ...(edit && { edit }),
      ...(signal && { signal }),
    });
  }

  /** Whether `reconstruct` works: the model has a tokenizer. */
  get canReconstruct(): boolean {
    return this.#model.reconstruct !== undefined;
  }

  /**
   * Pictures of imageSize * imageSize * 3 bytes through the model's tokenizer and back.
   * @throws NextxError RECONSTRUCT_NOT_POSSIBLE, DATA_BAD_SHAPE, ABORTED
   */
  async reconstruct(pixels: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    if (this.#model.reconstruct) return this.#model.reconstruct(pixels, signal);
    throw new NextxError("RECONSTRUCT_NOT_POSSIBLE", `${this.name} has no tokenizer to go through.`);
  }

  /** One of the model's programs as an .onnx file's bytes, weights inside. @throws NextxError EXPORT_UNKNOWN_GRAPH */
  exportOnnx(name: string): Uint8Array {
    const graph = Object.hasOwn(this.#model.graphs, name) ? this.#model.graphs[name] : undefined;
    if (graph) return exportOnnx(graph(), this.#weights);
    throw new NextxError("EXPORT_UNKNOWN_GRAPH", `${this.name} has no program "${name}".`, {
      path: "graph",
      hint: suggestion(name, this.graphNames),
    });
  }

  [Symbol.dispose](): void {
    this.#model[Symbol.dispose]();
  }
}

/** The system of an id. @throws NextxError SYSTEM_UNKNOWN */
export function systemOf(id: string): ImageSystem {
  const system = imageSystems.get(id);
  if (system) return system;
  throw new NextxError("SYSTEM_UNKNOWN", `There is no system "${id}".`, {
    path: "system",
    hint: suggestion(id, [...imageSystems.keys()]),
  });
}

/** Weights that do not fit the model. */
function requireWeights(found: FoundModel, system: ImageSystem): void {
  for (const [name, { shape }] of system.parameters(found.description)) {
    const weight = found.weights.get(name);
    if (weight === undefined)
      throw new NextxError("CHECKPOINT_MISSING_TENSOR", `${found.path} lacks a tensor.`, { path: name });
    if (String(weight.shape) !== String(shape)) {
      throw new NextxError(
        "CHECKPOINT_BAD_SHAPE",
        `${found.path}: [${weight.shape}] instead of [${shape}].`,
        { path: name },
      );
    }
  }
}

/**
 * Opens a model by shipped name, system id, run folder or file.
 * @throws NextxError MODEL_, CHECKPOINT_, SAFETENSORS_ and CONFIG_ codes
 */
export async function load(name: string, { threads = 2 }: LoadOptions = {}): Promise<Model> {
  const found = await findModel(name);
  const system = systemOf(found.description.system);
  requireWeights(found, system);
  const device: Device = await openCpu({ threads });
  return new Model(
    found,
    system,
    await system.open(found.description, found.weights, device),
    device.runtime,
  );
}
