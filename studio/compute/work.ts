/** One task in hand inside the worker: what it tells, and where it can be stopped or held. */
import { NextxError } from "../../src/index.web.ts";

/** Lets messages in: a run of the runtime blocks the worker, and its promises alone never give way. */
export function breathe(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}

export class Work<E> {
  readonly #controller = new AbortController();
  readonly emit: (event: E) => void;
  #held: { readonly released: Promise<void>; readonly release: () => void } | undefined;

  constructor(emit: (event: E) => void) {
    this.emit = emit;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Between two steps. @throws NextxError ABORTED */
  async pause(): Promise<void> {
    await breathe();
    while (this.#held !== undefined) await this.#held.released;
    if (this.signal.aborted) throw new NextxError("ABORTED", "The work was cancelled.");
  }

  cancel(): void {
    this.#controller.abort();
    this.hold(false);
  }

  hold(held: boolean): void {
    if (held === (this.#held !== undefined)) return;
    if (!held) {
      const { release } = this.#held ?? {};
      this.#held = undefined;
      release?.();
      return;
    }
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#held = { released, release };
  }
}
