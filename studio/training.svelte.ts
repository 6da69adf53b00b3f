/** A training in the page: its state, and what can be done with it. It goes on while other pages of the studio are shown. */
import { maxPageModelBytes } from "../src/server/limits.ts";
import type { ModelInfo } from "../src/server/protocol.ts";
import type { Running } from "./compute/client.ts";
import type { TaskEvents } from "./compute/messages.ts";
import type { Line } from "./curves.ts";
import { keepUsed } from "./offline/keep.ts";
import { saveBytes } from "./pictures.ts";
import { textOf } from "./problems.ts";
import type { Studio } from "./studio.svelte.ts";
import { canStart, type TrainingPlan, trainedHere } from "./trainings.ts";

type TrainEvent = TaskEvents["train"];

/** A look at held-out pictures. */
export interface Look {
  readonly step: number;
  readonly metrics: Readonly<Record<string, number | readonly number[]>>;
  readonly picture: string | undefined;
}

export type TrainingState = "idle" | "preparing" | "running" | "held" | "finished";

export class Training {
  state = $state<TrainingState>("idle");
  plan = $state.raw<TrainingPlan | undefined>(undefined);
  /** What is being prepared, and how far it is. */
  preparing = $state.raw({ text: "", done: 0, total: 1 });
  step = $state(0);
  steps = $state(0);
  parameters = $state(0);
  batchSize = $state(0);
  /** Steps without looks and stops. */
  msPerStep = $state(0);
  loss = $state.raw<Line>({ name: "loss", steps: [], values: [] });
  looks = $state.raw<readonly Look[]>([]);
  problem = $state("");
  /** The model that was trained last: it stays until another is finished. */
  file = $state.raw<Uint8Array<ArrayBuffer> | undefined>(undefined);
  fileTitle = $state("");
  /** Whether a model was trained in this page. */
  hasTrained = $state(false);
  isSaved = $state(false);
  readonly #studio: Studio;
  #running: Running<"train"> | undefined;
  #controller: AbortController | undefined;
  #lastMs: number | undefined;

  constructor(studio: Studio) {
    this.#studio = studio;
  }

  get isBusy(): boolean {
    return this.state === "preparing" || this.state === "running" || this.state === "held";
  }

  /** Whether leaving the page would lose something. */
  get isUnsaved(): boolean {
    return this.isBusy || (this.file !== undefined && !this.isSaved);
  }

  /** Whether a plan's first model is there, and small enough for a page. */
  canStart(plan: TrainingPlan): boolean {
    const there = this.#studio.models.filter(({ sizeBytes }) => sizeBytes <= maxPageModelBytes);
    return canStart(plan, [...there.map(({ id }) => id), ...(this.hasTrained ? [trainedHere] : [])]);
  }

  /** Saves the trained model as a file. */
  save(): void {
    if (this.file === undefined) return;
    saveBytes(this.file, `${trainedHere}.safetensors`);
    this.isSaved = true;
  }

  /** Trains until it is finished, reset or failed. */
  async start(plan: TrainingPlan, steps: number): Promise<void> {
    if (this.isBusy) return;
    const { page } = this.#studio;
    const controller = new AbortController();
    this.#controller = controller;
    this.#reset(plan, steps);
    try {
      const infos = await page.listModels();
      controller.signal.throwIfAborted();
      const model = page.address(plan.from);
      keepUsed([model.url]);
      const running = page.training.start(
        {
          name: "train",
          model,
          stage: plan.stage,
          ...(plan.keeps !== undefined && { keeps: plan.keeps }),
          overrides: plan.overrides(steps),
          observeEvery: Math.max(10, Math.round(steps / 3)),
        },
        controller.signal,
      );
      this.#running = running;
      for await (const event of running.events) this.#take(event, infos);
    } catch (error) {
      if (controller.signal.aborted) return; // by what may have begun another training already
      this.problem = textOf(error);
      this.state = "idle";
    } finally {
      if (this.#controller === controller) {
        this.#running = undefined;
        page.training.close();
      }
    }
  }

  /** Waits before the next step until `resume`. */
  hold(): void {
    if (this.state !== "running") return;
    this.#running?.hold(true);
    this.#lastMs = undefined;
    this.state = "held";
  }

  resume(): void {
    if (this.state !== "held") return;
    this.#running?.hold(false);
    this.state = "running";
  }

  /** Ends what runs; what was trained so far is gone. */
  discard(): void {
    this.#controller?.abort();
    this.plan = undefined;
    this.state = "idle";
  }

  #reset(plan: TrainingPlan, steps: number): void {
    this.state = "preparing";
    this.plan = plan;
    this.preparing = { text: "starting", done: 0, total: 1 };
    [this.step, this.steps, this.parameters, this.batchSize, this.msPerStep] = [0, steps, 0, 0, 0];
    this.loss = { name: "loss", steps: [], values: [] };
    this.looks = [];
    this.problem = "";
    this.#lastMs = undefined;
  }

  #take(event: TrainEvent, infos: readonly ModelInfo[]): void {
    switch (event.kind) {
      case "progress":
        this.preparing = event;
        return;
      case "stage":
        this.parameters = event.parameters;
        this.batchSize = event.batchSize;
        if (this.state === "preparing") this.state = "running";
        return;
      case "step": {
        this.step = event.step;
        const { steps, values } = this.loss;
        this.loss = { name: "loss", steps: [...steps, event.step], values: [...values, event.loss] };
        this.#clock();
        return;
      }
      case "observed":
        this.looks = [...this.looks, event];
        this.#lastMs = undefined;
        return;
      case "finished":
        this.#finish(event, infos);
        return;
      default:
        event satisfies never;
    }
  }

  /** A running mean over about ten steps. */
  #clock(): void {
    const now = performance.now();
    if (this.#lastMs !== undefined && this.state === "running") {
      const ms = now - this.#lastMs;
      this.msPerStep = this.msPerStep === 0 ? ms : 0.9 * this.msPerStep + 0.1 * ms;
    }
    this.#lastMs = now;
  }

  /** The model joins those of this page, with the classes and settings of the one it began with. */
  #finish({ file, sha256 }: TrainEvent & { kind: "finished" }, infos: readonly ModelInfo[]): void {
    this.state = "finished";
    this.file = file;
    this.fileTitle = `${this.plan?.title ?? "Trained"}, ${this.steps} steps`;
    this.isSaved = false;
    const base = infos.find(({ id }) => id === this.plan?.from);
    if (base === undefined) return;
    const title = `${this.fileTitle} in this page`;
    this.#studio.page.add({ ...base, id: trainedHere, title, sha256, sizeBytes: file.length }, file);
    this.hasTrained = true;
  }

  /** Shows the trained model's pictures on the page Generate. */
  async use(): Promise<void> {
    await this.#studio.show("page", trainedHere);
  }
}
