/** Who follows something that happens: each gets what is told from then on, in order. */

export class Listeners<E> {
  readonly #all = new Set<(event: E) => void>();

  tell(event: E): void {
    for (const listener of this.#all) listener(event);
  }

  /** What was before, asked for when the first event is, then what is told: until the last event or until `signal` aborts. */
  async *follow(
    before: () => readonly E[],
    isLast: (event: E) => boolean,
    signal: AbortSignal,
  ): AsyncGenerator<E> {
    const waiting = [...before()];
    let wake: () => void = () => undefined;
    const listener = (event: E) => {
      waiting.push(event);
      wake();
    };
    const onAbort = () => wake();
    this.#all.add(listener);
    signal.addEventListener("abort", onAbort);
    try {
      while (!signal.aborted) {
        const event = waiting.shift();
        if (event === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        yield event;
        if (isLast(event)) return;
      }
    } finally {
      this.#all.delete(listener);
      signal.removeEventListener("abort", onAbort);
    }
  }
}
