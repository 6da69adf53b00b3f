/** A measurement of training dynamics: its request, its state, what it gave. It goes on while other pages are shown. */
import type { MeasuredDynamics } from "../src/server/protocol.ts";
import { measureDynamics } from "./api.ts";
import { offline } from "./apiError.ts";
import { textOf } from "./problems.ts";

export class Measurement {
  chosen = $state.raw<readonly string[]>([]);
  count = $state(128);
  seed = $state(0);
  progress = $state("");
  problem = $state("");
  measured = $state.raw<MeasuredDynamics | undefined>(undefined);
  /** Whether it was measured before, and ships. */
  isRecorded = $state(false);
  #controller = $state.raw<AbortController | undefined>(undefined);

  get isRunning(): boolean {
    return this.#controller !== undefined;
  }

  stop(): void {
    this.#controller?.abort();
  }

  async start(): Promise<void> {
    if (this.#controller) return;
    const controller = new AbortController();
    this.#controller = controller;
    [this.problem, this.progress] = ["", "starting"];
    const { chosen: models, count, seed } = this;
    let isTold = false;
    try {
      for await (const event of measureDynamics({ models, count, seed }, controller.signal)) {
        if (event.kind === "progress") this.progress = event.text;
        else if (event.kind === "measured") [this.measured, this.isRecorded, isTold] = [event, false, true];
        else this.problem = [event.error.message, event.error.hint].filter(Boolean).join(" ");
      }
      if (!isTold && this.problem === "")
        this.problem = textOf(offline("The measurement ended without a result."));
    } catch (error) {
      if (!controller.signal.aborted) this.problem = textOf(error);
    } finally {
      this.#controller = undefined;
    }
  }
}
