/**
 * What a published system offers to everything above it: recipes as data, stages that train, a model that samples, and a
 * parity table. The command line, the API and the studio know systems only through this.
 */
import type { z } from "zod";
import type { ImageSet, Split } from "../data/types.ts";
import type { ModelFileDescription } from "../formats/modelFile.ts";
import type { ParityCase, ParityTable } from "../formats/parityCase.ts";
import type { RgbImage } from "../formats/png.ts";
import type { ReadWeights } from "../nn/perceptual.ts";
import type { ParameterSpec, Weights } from "../nn/scope.ts";
import type { Device } from "../runtime/device.ts";
import type { Graph } from "../runtime/trace.ts";
import type { LoopExport } from "./exportLoop.ts";
import type { OfficialForm } from "./officialForm.ts";
import type { ScaleWiseSubject } from "./scaleWiseSubject.ts";
import type { TokenCache } from "./tokenSet.ts";
import type { Metrics, TrainerOptions, TrainingTask } from "./trainer.ts";

/** What a stage may use. */
export interface StageContext {
  readonly device: Device;
  readonly seed: number;
  /** Opens a split of the run's data. */
  readonly data: (split: Split) => Promise<ImageSet>;
  /** Finished weights of the stages before, or of the model that training goes on from, by full name. */
  readonly earlier: Weights;
  /** Weights of networks that only judge. */
  readonly readWeights: ReadWeights;
  /** Keeps what tokenising gives for the next training over the same tokenizer. */
  readonly tokens?: TokenCache;
  /** Long preparation tells how far it is. */
  readonly onProgress: (text: string, done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** A look at held-out data between steps. */
export interface Observation {
  readonly metrics: Metrics;
  /** A picture to keep with the run. */
  readonly picture?: RgbImage;
}

/** A stage ready to run. */
export interface StageRun {
  readonly task: TrainingTask;
  /** Pictures per step. */
  readonly batchSize: number;
  /** Quality of these weights on held-out data; deterministic. */
  observe(weights: Weights): Promise<Observation>;
}

/** One part of a training programme. */
export interface Stage {
  readonly name: string;
  readonly steps: number;
  readonly options: TrainerOptions;
  create(context: StageContext): Promise<StageRun>;
}

/** A training programme as data, with what to expect of it. */
export interface RecipeEntry {
  readonly description: string;
  /** Time on two cores, memory, and the figures that should come out. */
  readonly expect: string;
  readonly recipe: unknown;
}

/** Which data a recipe reads. */
export interface RecipeData {
  readonly set: string;
  readonly size: number;
}

/** What a model file says besides its weights. */
export type ModelDescription = ModelFileDescription;

/** Pictures n * size * size * 3 bytes, after `done` of `total` groups; the last event has all. */
export interface SampleEvent {
  readonly done: number;
  readonly total: number;
  readonly pixels: Uint8Array;
  /** Token ids of every picture so far, coarse to fine, one array per finished group; empty where sites are not codes. */
  readonly ids: readonly Int32Array[];
  /** Finished pictures as decoded, n * size * size * 3 bytes, where their side is not the model's. */
  readonly native?: { readonly size: number; readonly pixels: Uint8Array };
}

/** A picture to change: what stays is copied token for token. */
export interface EditRequest {
  /** size * size * 3 bytes. */
  readonly pixels: Uint8Array;
  /** Fractions of the picture; x1 and y1 are exclusive ends. */
  readonly box?: { readonly y0: number; readonly x0: number; readonly y1: number; readonly x1: number };
  /** Instead of a box, any form: size * size bytes, not 0 where marked. */
  readonly mask?: Uint8Array;
  /** Where new content goes: inside what is marked, or everywhere else. */
  readonly where: "inside" | "outside";
}

/** Which random numbers a picture uses. */
export interface PictureDraw {
  readonly seed: number;
  /** Number of the picture among those of its seed. */
  readonly index: number;
}

export interface SampleRequest {
  /** One class per picture; undefined draws without a class. */
  readonly labels: readonly (number | undefined)[];
  readonly seed: number;
  /** One per picture; `seed` with 0, 1, ... when absent. A picture does not depend on the others. */
  readonly draws?: readonly PictureDraw[];
  /** Values of the system's sampling schema. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Decode a preview after every group, not only at the end. */
  readonly previews: boolean;
  readonly edit?: EditRequest;
  readonly signal?: AbortSignal;
}

/** An opened model. Dispose when done. */
export interface ImageModel extends Disposable {
  readonly description: ModelDescription;
  sample(request: SampleRequest): AsyncGenerator<SampleEvent>;
  /** Pictures of size * size * 3 bytes through the tokenizer and back. Errors: DATA_BAD_SHAPE, ABORTED. */
  reconstruct?(pixels: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /** Graphs that can be exported, by name. */
  readonly graphs: Readonly<Record<string, () => Graph>>;
}

/** What every published system has, whatever it makes. */
export interface System {
  readonly id: string;
  readonly title: string;
  /** Paper and where to find it. */
  readonly source: string;
  readonly description: string;
  /** Its functions under the `run` names of reference cases. */
  parity(parityCase: ParityCase, weights: Weights, device: Device): ParityTable & Disposable;
}

/** A published system that makes pictures. */
export interface ImageSystem extends System {
  readonly recipes: Readonly<Record<string, RecipeEntry>>;
  /** The recipe used when none is named. */
  readonly defaultRecipe: string;
  readonly recipeSchema: z.ZodType;
  /** What can be chosen when sampling, with defaults. */
  readonly samplingSchema: z.ZodObject;
  data(recipe: unknown): RecipeData;
  stages(recipe: unknown): readonly Stage[];
  describe(recipe: unknown, set: ImageSet): ModelDescription;
  /** The part of a recipe that a model fixes, to go on training it. */
  recipeOf(description: ModelDescription): Readonly<Record<string, unknown>>;
  /** Parts of a recipe that suit a model and may be changed; those of the named recipe when absent. */
  usualRecipe?(description: ModelDescription): Readonly<Record<string, unknown>>;
  /** Names and shapes of a model's parameters, nothing allocated. */
  parameters(description: ModelDescription): ReadonlyMap<string, ParameterSpec>;
  /** Tokens that one picture takes with these sampling settings, all steps together: what a server limits. */
  tokensPerPicture?(description: ModelDescription, settings: Readonly<Record<string, unknown>>): number;
  open(description: ModelDescription, weights: Weights, device: Device): Promise<ImageModel>;
  /** A model for measurements per scale, with a schedule of its own or of `sides`; absent where there are no scales. */
  scaleWise?(description: ModelDescription, weights: Weights, sides?: readonly number[]): ScaleWiseSubject;
  /** The loop of a model for other runtimes, with settings of the sampling schema. */
  exportLoop?(
    description: ModelDescription,
    weights: Weights,
    settings: Readonly<Record<string, unknown>>,
    device: Device,
  ): Promise<LoopExport>;
  /** Checkpoints of its authors, and the sizes they published. */
  readonly official?: OfficialForm;
}
