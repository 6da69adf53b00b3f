/**
 * A training programme on disk: one run folder per stage below the run's own, resumed where it stopped. Nothing here
 * draws a random number or looks at the clock to decide, so a resumed run ends in the same weights as an uninterrupted one.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileDurably } from "../formats/durable.node.ts";
import { decodeModel, type ModelFile } from "../formats/modelFile.ts";
import { encodePng } from "../formats/png.ts";
import { parameterCount, type Weights } from "../nn/scope.ts";
import type { Device } from "../runtime/device.ts";
import { NextxError } from "../tensor/errors.ts";
import { RandomStream } from "../tensor/random.ts";
import { RunFolder } from "./runFolder.node.ts";
import type { RunEvent } from "./runFolderReader.node.ts";
import { snapshotOfState, stateOfSnapshot } from "./runFolderState.ts";
import type { Observation, Stage, StageContext, StageRun } from "./system.ts";
import { type Json, type StepReport, Trainer } from "./trainer.ts";

/** What a training tells while it runs. */
export type TrainEvent =
  | {
      readonly kind: "stage";
      readonly stage: string;
      readonly steps: number;
      readonly parameters: number;
      readonly from: number;
    }
  | {
      readonly kind: "step";
      readonly stage: string;
      readonly steps: number;
      readonly report: StepReport;
      readonly samplesPerSecond: number;
      readonly remainingMs: number;
    }
  | {
      readonly kind: "observed";
      readonly stage: string;
      readonly step: number;
      readonly observation: Observation;
      readonly file: string | undefined;
    }
  | { readonly kind: "saved"; readonly stage: string; readonly step: number }
  | { readonly kind: "stopped"; readonly stage: string; readonly step: number }
  | { readonly kind: "notice"; readonly text: string }
  | { readonly kind: "finished"; readonly model: string };

/** What a run trains. */
export interface Programme extends Pick<StageContext, "data" | "readWeights"> {
  /** Parsed by a system's schema. */
  readonly recipe: Json & { readonly seed: number };
  readonly stages: readonly Stage[];
  /** Throws when the data are not there. Errors: those of data. */
  requireData(): Promise<unknown>;
  /** The finished model's file; `from` is the model that training went on from. Errors: those of data. */
  encode(weights: Weights, from: ModelFile | undefined): Promise<Uint8Array>;
  /** Throws when training cannot go on from this model. Errors: TRAIN_ codes, those of data. */
  requireFit(from: ModelFile): Promise<void>;
}

export interface TrainRunRequest {
  readonly programme: Programme;
  readonly folder: string;
  readonly device: Device;
  /** A model file's bytes: only the last stage is run, from its weights. A begun run keeps its own copy. */
  readonly from?: Uint8Array;
  /** Written beside the config when the run begins. */
  readonly provenance: Json;
  /** Steps between checkpoints, looks at held-out data, and rows of the log. */
  readonly every: { readonly checkpoint: number; readonly observe: number; readonly log: number };
  /** Preparation that takes long, such as tokenising, tells how far it is. */
  readonly onProgress?: (text: string, done: number, total: number) => void;
  /** Stops after the step in hand, with a checkpoint. */
  readonly signal?: AbortSignal;
}

/** Name of a run's finished model. */
export const modelFileName = "model.safetensors";
/** Name of the model that a run went on from. */
export const fromFileName = "from.safetensors";

/**
 * Trains what is left of a run; an empty or missing folder begins one. Ends after `finished`, or after `stopped`.
 * @throws NextxError RUN_CONFIG_DIFFERS, TRAIN_NOT_FINITE, and the codes of run folders, files and data
 */
export async function* trainRun(request: TrainRunRequest): AsyncGenerator<TrainEvent> {
  const { programme, folder } = request;
  const { stages } = programme;
  const notices: TrainEvent[] = [];
  if (!existsSync(join(folder, "run.json"))) await programme.requireData(); // a folder would refuse other data later
  await using run = await openRun(folder, programme.recipe, request.provenance, notices);
  yield* notices.splice(0);
  const from = await modelBefore(request);
  const earlier: Weights = new Map(from?.weights);
  for (const [i, stage] of stages.entries()) {
    if (from && i < stages.length - 1) continue;
    const ended = yield* trainStage(request, stage, join(run.path, `${i + 1}-${stage.name}`), earlier);
    if (!ended) return;
  }
  const model = join(folder, modelFileName);
  await writeFileDurably(model, await programme.encode(earlier, from));
  yield { kind: "finished", model };
}

/** The model that this run goes on from. @throws NextxError of `requireFit`, files and models */
async function modelBefore({ folder, from, programme }: TrainRunRequest): Promise<ModelFile | undefined> {
  const path = join(folder, fromFileName);
  const isKept = existsSync(path);
  if (!isKept && from === undefined) return undefined;
  const bytes = isKept ? await readFile(path) : (from as Uint8Array); // one of both
  const model = decodeModel(bytes, path);
  await programme.requireFit(model);
  if (!isKept) await writeFileDurably(path, bytes);
  return model;
}

function noticeText(event: RunEvent): string {
  switch (event.kind) {
    case "lock-taken-over":
      return "The process that trained here before is gone; its lock was taken over.";
    case "metrics-repaired":
      return `${event.badLines} torn lines of the metrics log were dropped.`;
    case "checkpoint-skipped":
      return `Checkpoint ${event.name} is damaged and was skipped: ${event.reason}`;
    case "config-changed":
      return `The checkpoint of step ${event.step} was made with another configuration.`;
    case "prune-failed":
      return `Old checkpoint ${event.name} could not be removed: ${event.reason}`;
    default:
      return event satisfies never;
  }
}

/** Begins or continues a run folder. */
async function openRun(
  path: string,
  config: Json,
  provenance: Json,
  notices: TrainEvent[],
): Promise<RunFolder> {
  const onEvent = (event: RunEvent) => notices.push({ kind: "notice", text: noticeText(event) });
  if (!existsSync(join(path, "run.json"))) return RunFolder.create(path, config, { provenance, onEvent });
  const run = await RunFolder.open(path, { onEvent });
  if (JSON.stringify(run.config) === JSON.stringify(config)) return run;
  await run.close();
  throw new NextxError("RUN_CONFIG_DIFFERS", `${path} was begun with another recipe.`, {
    path,
    hint: "Resume without recipe flags, or choose a new folder.",
  });
}

/** Trains one stage; returns whether it ended. Adds its weights to `earlier`. */
async function* trainStage(
  request: TrainRunRequest,
  stage: Stage,
  path: string,
  earlier: Weights,
): AsyncGenerator<TrainEvent, boolean> {
  const notices: TrainEvent[] = [];
  await using run = await openRun(
    path,
    { stage: stage.name, recipe: request.programme.recipe },
    request.provenance,
    notices,
  );
  const saved = await run.latest();
  yield* notices.splice(0);
  if (saved?.step === stage.steps) {
    const { average, weights } = snapshotOfState(saved);
    for (const [name, value] of average ?? weights) earlier.set(name, value);
    return true;
  }
  await run.rewind(saved?.step ?? 0);
  const { data, readWeights, recipe } = request.programme;
  const { seed } = recipe;
  const { signal } = request;
  const prepared = stage.create({
    device: request.device,
    seed,
    data,
    earlier: new Map(earlier),
    readWeights,
    onProgress: request.onProgress ?? (() => undefined),
    ...(signal && { signal }),
  });
  const ready = await prepared.catch((error: unknown) => {
    if (signal?.aborted && error instanceof NextxError && error.code === "ABORTED") return undefined;
    throw error;
  });
  if (ready === undefined) {
    yield { kind: "stopped", stage: stage.name, step: saved?.step ?? 0 };
    return false;
  }
  const from = saved ? snapshotOfState(saved) : RandomStream.from(seed, "train/init");
  using trainer = await Trainer.create(ready.task, stage.options, request.device, from);
  yield {
    kind: "stage",
    stage: stage.name,
    steps: stage.steps,
    parameters: parameterCount(ready.task.parameters),
    from: trainer.step,
  };
  const ended = yield* steps(request, stage, run, trainer, ready);
  if (ended) for (const [name, value] of trainer.best) earlier.set(name, value);
  return ended;
}

async function* steps(
  { every, signal }: TrainRunRequest,
  stage: Stage,
  run: RunFolder,
  trainer: Trainer,
  ready: StageRun,
): AsyncGenerator<TrainEvent, boolean> {
  const startMs = performance.now();
  const first = trainer.step;
  const due = (step: number, period: number) => step % period === 0 || step === stage.steps;
  while (trainer.step < stage.steps) {
    const isStopped = signal?.aborted === true;
    if (isStopped) {
      if (trainer.step > 0) await run.save(stateOfSnapshot(trainer.snapshot()));
      yield { kind: "stopped", stage: stage.name, step: trainer.step };
      return false;
    }
    const report = await trainer.advance();
    const perStepMs = (performance.now() - startMs) / (report.step - first);
    const { loss, learningRate, gradientNorm, metrics } = report;
    if (report.step === 1 || due(report.step, every.log))
      await run.log({ step: report.step, loss, learningRate, gradientNorm, ...metrics });
    yield {
      kind: "step",
      stage: stage.name,
      steps: stage.steps,
      report,
      samplesPerSecond: (1000 / perStepMs) * ready.batchSize,
      remainingMs: perStepMs * (stage.steps - report.step),
    };
    // before the checkpoint, so that a run that ends in between looks again when it goes on
    if (due(report.step, every.observe)) yield await observe(stage, run, trainer, ready);
    if (due(report.step, every.checkpoint)) {
      await run.save(stateOfSnapshot(trainer.snapshot()));
      yield { kind: "saved", stage: stage.name, step: report.step };
    }
  }
  return true;
}

async function observe(stage: Stage, run: RunFolder, trainer: Trainer, ready: StageRun): Promise<TrainEvent> {
  const observation = await ready.observe(trainer.best);
  const { metrics, picture } = observation;
  await run.log({ step: trainer.step, ...metrics });
  const file = picture && (await run.saveSample(trainer.step, stage.name, encodePng(picture)));
  return { kind: "observed", stage: stage.name, step: trainer.step, observation, file };
}
