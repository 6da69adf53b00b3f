/**
 * The training step: batches in, one program run per micro-batch, gradients accumulated, AdamW and the weight average on
 * the host. Pure state machine: no files, no clock-dependent decisions, so a restored trainer continues bit-exactly.
 */
import { initialise, type ParameterSpec, type Weights } from "../nn/scope.ts";
import type { Device } from "../runtime/device.ts";
import { compile, type Program } from "../runtime/program.ts";
import type { Graph } from "../runtime/trace.ts";
import type { Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import type { RandomStream } from "../tensor/random.ts";
import { AdamW, type AdamWOptions, copyWeights, gradientNorm, updateAverage } from "./adamw.ts";
import { gradientName } from "./objective.ts";
import { learningRate, type ScheduleOptions } from "./schedule.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type Metrics = Readonly<Record<string, number | readonly number[]>>;

/** What is trained: graph, data, and what happens around a step. */
export interface TrainingTask {
  readonly graph: Graph;
  readonly parameters: ReadonlyMap<string, ParameterSpec>;
  /** Weights of other models that the graph uses, compiled in. */
  readonly frozen: Weights;
  /** Next micro-batch; advances the task's cursor deterministically. */
  nextBatch(context: BatchContext): Promise<Readonly<Record<string, Value>>>;
  /** Called after the update with the last micro-batch's outputs; may change weights; returns extra metrics. */
  afterStep?(context: AfterStep): Metrics;
  /** Called before the first step of a new run, for data-dependent initialisation. */
  prepare?(weights: Weights, device: Device): Promise<void>;
  saveState(): Json;
  restoreState(state: Json): void;
  /** Frees programs that the task compiled for its batches. */
  dispose?(): void;
}

/** What a batch may depend on besides the task's own cursor: a model's own predictions need its weights. */
export interface BatchContext {
  /** Finished optimiser steps. */
  readonly step: number;
  readonly weights: Weights;
  readonly device: Device;
}

export interface AfterStep {
  readonly step: number;
  readonly outputs: Readonly<Record<string, Value>>;
  readonly weights: Weights;
  readonly optimizer: AdamW;
}

export interface TrainerOptions {
  readonly schedule: ScheduleOptions;
  readonly optimizer: AdamWOptions;
  /** Micro-batches per step. */
  readonly accumulate: number;
  /** Decay of the weight average; 0 keeps none. */
  readonly emaDecay: number;
}

/** What one step did. */
export interface StepReport {
  /** Number of finished steps, from 1. */
  readonly step: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly gradientNorm: number;
  readonly metrics: Metrics;
}

/** Everything that a checkpoint holds. */
export interface TrainerSnapshot {
  readonly step: number;
  readonly weights: Weights;
  /** The weight average, or undefined when none is kept. */
  readonly average: Weights | undefined;
  readonly moments: Map<string, Value>;
  readonly task: Json;
}

const METRIC = "metric:";

function metricValues(outputs: Readonly<Record<string, Value>>): Metrics {
  const floats = Object.entries(outputs).filter(
    ([name, { data }]) => name.startsWith(METRIC) && data instanceof Float32Array,
  );
  return Object.fromEntries(
    floats.map(([name, { data, shape }]) => [
      name.slice(METRIC.length),
      shape.length === 0 ? (data[0] ?? 0) : Array.from(data),
    ]),
  );
}

function averageMetrics(parts: readonly Metrics[]): Metrics {
  const [head] = parts;
  if (head === undefined || parts.length === 1) return head ?? {};
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  return Object.fromEntries(
    Object.entries(head).map(([name, value]) =>
      typeof value === "number"
        ? [name, mean(parts.map((part) => part[name] as number))] // every part has the same names and kinds
        : [name, value.map((_, i) => mean(parts.map((part) => (part[name] as readonly number[])[i] ?? 0)))],
    ),
  );
}

/** A task being trained on a device. Dispose when done. */
export class Trainer implements Disposable {
  readonly task: TrainingTask;
  readonly options: TrainerOptions;
  weights: Weights;
  average: Weights | undefined;
  readonly optimizer: AdamW;
  #step = 0;
  readonly #program: Program;
  readonly #device: Device;

  private constructor(
    task: TrainingTask,
    options: TrainerOptions,
    weights: Weights,
    program: Program,
    device: Device,
  ) {
    this.#device = device;
    this.task = task;
    this.options = options;
    this.weights = weights;
    this.optimizer = new AdamW(options.optimizer);
    this.#program = program;
  }

  /** Compiles the task and draws first weights from the stream, or continues from a snapshot. */
  static async create(
    task: TrainingTask,
    options: TrainerOptions,
    device: Device,
    from: RandomStream | TrainerSnapshot,
  ): Promise<Trainer> {
    const program = await compile(task.graph, { device, weights: task.frozen });
    const snapshot = "weights" in from ? from : undefined;
    const weights = "weights" in from ? copyWeights(from.weights) : initialise(task.parameters, from);
    const trainer = new Trainer(task, options, weights, program, device);
    try {
      if (snapshot) trainer.#restore(snapshot);
      else await trainer.#begin();
      return trainer;
    } catch (error) {
      trainer[Symbol.dispose]();
      throw error;
    }
  }

  /** The average begins at the weights that the task takes over. */
  async #begin(): Promise<void> {
    await this.task.prepare?.(this.weights, this.#device);
    if (this.options.emaDecay > 0) this.average = copyWeights(this.weights);
  }

  #restore({ step, average, moments, task }: TrainerSnapshot): void {
    this.#step = step;
    this.average = average === undefined ? undefined : copyWeights(average);
    this.optimizer.restore(moments, step);
    this.task.restoreState(task);
  }

  /** Finished steps. */
  get step(): number {
    return this.#step;
  }

  /** Weights to sample with: the average where one is kept. */
  get best(): Weights {
    return this.average ?? this.weights;
  }

  /** One optimiser step. Errors: TRAIN_NOT_FINITE, on the step that produced it, before weights change. */
  async advance(): Promise<StepReport> {
    const { gradients, loss, metrics, outputs } = await this.#accumulate();
    const rate = learningRate(this.#step, this.options.schedule);
    this.#checkFinite(loss, gradients);
    const norm = this.optimizer.update(this.weights, gradients, rate);
    this.#step++;
    const extra = this.task.afterStep?.({
      step: this.#step,
      outputs,
      weights: this.weights,
      optimizer: this.optimizer,
    });
    if (this.average !== undefined) {
      // A growing decay, so that the average forgets the first random weights: min(decay, (1 + t) / (10 + t)).
      updateAverage(
        this.average,
        this.weights,
        Math.min(this.options.emaDecay, (1 + this.#step) / (10 + this.#step)),
      );
    }
    return {
      step: this.#step,
      loss,
      learningRate: rate,
      gradientNorm: norm,
      metrics: { ...metrics, ...extra },
    };
  }

  async #accumulate() {
    const { accumulate } = this.options;
    const gradients = new Map<string, Float32Array>();
    const losses: number[] = [];
    const metrics: Metrics[] = [];
    let outputs: Readonly<Record<string, Value>> = {};
    for (let i = 0; i < accumulate; i++) {
      const batch = await this.task.nextBatch({
        step: this.#step,
        weights: this.weights,
        device: this.#device,
      });
      outputs = await this.#program.run(batch, this.weights);
      losses.push(outputs.loss?.data[0] ?? Number.NaN);
      metrics.push(metricValues(outputs));
      for (const [output, { data }] of Object.entries(outputs)) {
        const name = gradientName(output);
        if (name === undefined) continue;
        const fresh = data as Float32Array; // gradients are float32
        const sum = gradients.get(name);
        if (sum === undefined)
          gradients.set(name, accumulate === 1 ? fresh : fresh.map((g) => g / accumulate));
        else
          for (let k = 0; k < sum.length; k++)
            sum[k] = (sum[k] as number) + (fresh[k] as number) / accumulate;
      }
    }
    const loss = losses.reduce((a, b) => a + b, 0) / losses.length;
    return { gradients, loss, metrics: averageMetrics(metrics), outputs };
  }

  #checkFinite(loss: number, gradients: ReadonlyMap<string, Float32Array>): void {
    // float64 holds the norm of any finite float32 gradients: it is finite exactly when they are
    if (Number.isFinite(loss) && Number.isFinite(gradientNorm(gradients))) return;
    const isBad = ([, g]: [string, Float32Array]) => g.some((value) => !Number.isFinite(value));
    const bad = Number.isFinite(loss) ? ([...gradients].find(isBad)?.[0] ?? "a gradient") : "loss";
    throw new NextxError(
      "TRAIN_NOT_FINITE",
      `Step ${this.#step + 1}: ${bad} is not a finite number (loss ${loss}).`,
      {
        path: bad,
        hint: "Begin a new run with a lower learning rate or another seed.",
      },
    );
  }

  snapshot(): TrainerSnapshot {
    return {
      step: this.#step,
      weights: copyWeights(this.weights),
      average: this.average && copyWeights(this.average),
      moments: this.optimizer.save(this.weights),
      task: this.task.saveState(),
    };
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]();
    this.task.dispose?.();
  }
}
