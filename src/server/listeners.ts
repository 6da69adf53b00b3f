/** Who follows something that happens: each gets what is told from then on, in order. */

/** Events kept for one who follows and does not take them; then nobody is thought to be there. */
export const mostWaiting = 4096;

export class Listeners<E> {
  readonly #all = new Set<(event: E) => void>();

  tell(event: E): void {
    for (const listener of this.#all) listener(event);
  }

  /**
   * What was before, asked for when the first event is, then what is told: until the last event, until `signal` aborts, or
   * until too much waits; who still listens then asks again.
   */
  async *follow(
    before: () => readonly E[],
    isLast: (event: E) => boolean,
    signal: AbortSignal,
  ): AsyncGenerator<E> {
    const waiting = [...before()];
    let wake: () => void = () => undefined;
    let isBehind = false;
    const listener = (event: E) => {
      isBehind ||= waiting.length >= mostWaiting;
      if (!isBehind) waiting.push(event);
      wake();
    };
    const onAbort = () => wake();
    this.#all.add(listener);
    signal.addEventListener("abort", onAbort);
    try {
      while (!signal.aborted && !isBehind) {
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
