/** Notices when a connection has almost fallen silent: less than 1 KiB in a period, headers included. */

const leastBytes = 1024;

/** Watches from when it is made until it is disposed of. */
export class SilenceWatch implements Disposable {
  /** Aborts when it has been silent for too long, or when the caller's signal does. */
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  #heardBytes = 0;

  constructor(periodMs: number, caller?: AbortSignal) {
    this.signal = caller ? AbortSignal.any([caller, this.#controller.signal]) : this.#controller.signal;
    this.#timer = setInterval(() => {
      if (this.#heardBytes < leastBytes) this.#controller.abort(new Error("silence"));
      this.#heardBytes = 0;
    }, periodMs);
  }

  /** Bytes came in. */
  heard(count: number): void {
    this.#heardBytes += count;
  }

  get isSilent(): boolean {
    return this.#controller.signal.aborted;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
