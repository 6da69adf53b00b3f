/** One run as the page follows it: what is on disk, what happens now, the rows of the stage that is shown. */
import type { OperationEvent, RunDetail } from "../src/server/runProtocol.ts";
import { pause } from "./follow.ts";
import { isAbort, textOf } from "./problems.ts";
import { type MetricsRow, readMetrics, readMore, readRun, watch } from "./runsApi.ts";

type StepEvent = OperationEvent & { kind: "step" };

/** Rows are asked for at most so often. */
const rowsEveryMs = 1500;
/** A run that another process trains is looked at so often, one that nobody trains less. */
const pollMs = 3000;
const idleMs = 15_000;

export class RunWatch {
  readonly id: string;
  detail = $state.raw<RunDetail | undefined>(undefined);
  rows = $state.raw<readonly MetricsRow[]>([]);
  stage = $state("");
  step = $state.raw<StepEvent | undefined>(undefined);
  /** Preparation, or a notice of the run. */
  text = $state("");
  waiting = $state(0);
  problem = $state("");
  readonly #onChange: () => void;
  readonly #controller = new AbortController();
  /** Whether the reader chose the stage; else the page follows the run. */
  #isChosen = false;
  #askedMs = Number.NEGATIVE_INFINITY;

  /** `onChange` is called when the run's state has changed. */
  constructor(id: string, onChange: () => void) {
    this.id = id;
    this.#onChange = onChange;
    void this.#follow();
  }

  /** Shows another stage. */
  async choose(stage: string): Promise<void> {
    this.#isChosen = true;
    this.rows = []; // those of another stage
    await this.#try(() => this.#show(stage));
  }

  /** Listens again, after the run was stopped or queued. */
  async reload(): Promise<void> {
    await this.#try(() => this.#read());
    this.#onChange();
  }

  stop(): void {
    this.#controller.abort();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#controller;
    while (!signal.aborted) {
      const isRead = await this.#try(() => this.#read());
      const { state, operation } = this.detail ?? {};
      const isActive = state === "queued" || state === "running";
      if (isRead && isActive && operation !== null) await this.#try(() => this.#listen(signal));
      await pause(isActive || !isRead ? pollMs : idleMs, signal); // also after events: they may end at once
    }
  }

  async #listen(signal: AbortSignal): Promise<void> {
    for await (const event of watch({ run: this.id }, signal)) await this.#take(event);
    await this.#read(); // how it ended
    this.step = undefined;
    this.text = "";
    this.#onChange();
  }

  async #take(event: OperationEvent): Promise<void> {
    switch (event.kind) {
      case "state":
        this.waiting = event.waiting;
        if (this.detail) this.detail = { ...this.detail, state: event.state };
        this.#onChange();
        return;
      case "stage":
        this.text = "";
        await this.#read(true);
        return;
      case "step":
        this.step = event;
        this.text = "";
        if (event.stage === this.stage) await this.#more();
        return;
      case "observed":
        await this.#read(true);
        return;
      case "text":
        this.text = event.text;
        return;
      case "saved":
      case "arm":
        return;
      default:
        event satisfies never;
    }
  }

  /** `isNew`: rows have come that the last step does not tell. */
  async #read(isNew = false): Promise<void> {
    this.detail = await readRun(this.id);
    const { stages, stage } = this.detail;
    const wanted = this.#isChosen ? this.stage : (stage ?? stages[0]?.name ?? "");
    const step = stages.find(({ name }) => name === wanted)?.step;
    const isShown = wanted === this.stage && this.rows.length > 0 && this.rows.at(-1)?.step === step;
    if (isNew || !isShown) await this.#show(wanted);
  }

  async #show(stage: string): Promise<void> {
    this.stage = stage;
    const rows = stage === "" ? [] : await readMetrics(this.id, stage);
    if (this.stage === stage) this.rows = rows;
  }

  /** Rows since the last one. */
  async #more(): Promise<void> {
    if (performance.now() - this.#askedMs < rowsEveryMs) return;
    this.#askedMs = performance.now();
    const { stage } = this;
    const rows = await readMore(this.id, stage, this.rows);
    if (this.stage === stage) this.rows = rows;
  }

  async #try(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      this.problem = "";
      return true;
    } catch (error) {
      if (!isAbort(error)) this.problem = textOf(error);
      return false;
    }
  }
}
