/** A model that was read, opened on a device: what makes pictures with it, in Node and in pages alike. */
import { suggestion } from "./formats/suggest.ts";
import type { FoundModel, ModelCard } from "./modelCard.ts";
import type { Weights } from "./nn/scope.ts";
import type { ScaleWiseSubject } from "./regimen/scaleWiseSubject.ts";
import type { ImageModel, ImageSystem, SampleEvent } from "./regimen/system.ts";
import type { Device } from "./runtime/device.ts";
import { exportOnnx } from "./runtime/program.ts";
import { type SampleOptions, type SampleRecipe, sampleRecipe } from "./sampleRecipe.ts";
import { splitEvent } from "./splitEvent.ts";
import { imageSystems, systemIn } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";

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
  readonly #recipeName: string;

  constructor(found: FoundModel, system: ImageSystem, model: ImageModel, runtime: string) {
    this.runtime = runtime;
    this.name = found.name;
    this.sha256 = found.sha256;
    this.card = found.card;
    this.system = system;
    this.#model = model;
    this.#weights = found.weights;
    this.#recipeName = found.recipeName;
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

  /** Checked and completed: what `sample` will do. @throws NextxError SAMPLING_BAD_OPTION, LABEL_ and CONFIG_ codes */
  recipe(options: SampleOptions = {}): SampleRecipe {
    return sampleRecipe(
      {
        name: this.#recipeName,
        sha256: this.sha256,
        system: this.system,
        classNames: this.classNames,
        sampling: this.card?.sampling ?? {},
      },
      options,
    );
  }

  /** Makes pictures; the last event holds all of them finished. @throws NextxError ABORTED and those of `recipe` */
  async *sample(options: SampleOptions = {}): AsyncGenerator<SampleEvent> {
    for await (const [event] of this.sampleTogether([options], options.signal)) if (event) yield event;
  }

  /**
   * Several requests as one batch. Every step gives one event per request, the same that it would get alone. Settings and
   * edit must be the same. @throws NextxError SAMPLING_NOT_TOGETHER, ABORTED and those of `recipe`
   */
  async *sampleTogether(
    requests: readonly SampleOptions[],
    signal?: AbortSignal,
  ): AsyncGenerator<readonly SampleEvent[]> {
    const recipes = requests.map((options) => this.recipe(options));
    const edit = requests[0]?.edit;
    const settings = JSON.stringify(recipes[0]?.settings);
    if (
      recipes.some((recipe, i) => JSON.stringify(recipe.settings) !== settings || requests[i]?.edit !== edit)
    ) {
      throw new NextxError(
        "SAMPLING_NOT_TOGETHER",
        "Requests with different settings or edits are no batch.",
      );
    }
    const counts = recipes.map(({ labels }) => labels.length);
    const events = this.#model.sample({
      labels: recipes.flatMap(({ labels }) => labels.map((label) => label ?? undefined)),
      seed: recipes[0]?.seed ?? 0,
      draws: recipes.flatMap(({ labels, seed, first = 0 }) =>
        labels.map((_, i) => ({ seed, index: first + i })),
      ),
      options: recipes[0]?.settings ?? {},
      previews: requests.some(({ previews }) => previews === true),
      ...(edit && { edit }),
      ...(signal && { signal }),
    });
    for await (const event of events) yield splitEvent(event, counts);
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

  /**
   * The model for measurements per scale, with its own schedule or the given sides.
   * @throws NextxError MODEL_NOT_SCALE_WISE, SCHEDULE_ and PLAN_ codes
   */
  scaleWise(sides?: readonly number[]): ScaleWiseSubject {
    const subject = this.system.scaleWise?.(this.#model.description, this.#weights, sides);
    if (subject) return subject;
    throw new NextxError("MODEL_NOT_SCALE_WISE", `${this.name} does not predict scale by scale.`);
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

/** The picture system of an id. @throws NextxError SYSTEM_UNKNOWN, SYSTEM_OTHER_TASK */
export function systemOf(id: string): ImageSystem {
  return systemIn(imageSystems, id);
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

/** Opens a model that was read. @throws NextxError CHECKPOINT_ and CONFIG_ codes, SYSTEM_UNKNOWN */
export async function openModel(found: FoundModel, device: Device): Promise<Model> {
  const system = systemOf(found.description.system);
  requireWeights(found, system);
  const opened = await system.open(found.description, found.weights, device);
  return new Model(found, system, opened, device.runtime);
}
