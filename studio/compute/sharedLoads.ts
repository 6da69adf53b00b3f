/** Loads that several may wait for: one per key at a time. */

type OnProgress = (done: number, total: number) => void;

interface Load<T> {
  readonly result: Promise<T>;
  readonly listeners: Set<OnProgress>;
  readonly controller: AbortController;
}

export class SharedLoads<T> {
  readonly #loads = new Map<string, Load<T>>();

  /**
   * What `load` gives, which runs once for all who wait for its key. Who aborts leaves the others waiting; a load for which
   * nobody waits is aborted, and the next one begins anew. `aborted` makes the error of whoever leaves.
   */
  get(
    key: string,
    load: (onProgress: OnProgress, signal: AbortSignal) => Promise<T>,
    onProgress: OnProgress,
    signal: AbortSignal,
    aborted: () => Error,
  ): Promise<T> {
    const shared = this.#loads.get(key) ?? this.#begin(key, load);
    const listener: OnProgress = (done, total) => onProgress(done, total);
    shared.listeners.add(listener);
    return new Promise<T>((resolve, reject) => {
      const leave = () => {
        shared.listeners.delete(listener);
        if (shared.listeners.size === 0) {
          this.#forget(key, shared);
          shared.controller.abort();
        }
        reject(aborted());
      };
      if (signal.aborted) return leave();
      signal.addEventListener("abort", leave, { once: true });
      shared.result.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
    });
  }

  #begin(key: string, load: (onProgress: OnProgress, signal: AbortSignal) => Promise<T>): Load<T> {
    const listeners = new Set<OnProgress>();
    const controller = new AbortController();
    const tell: OnProgress = (done, total) => {
      for (const listener of listeners) listener(done, total);
    };
    const shared: Load<T> = { result: load(tell, controller.signal), listeners, controller };
    this.#loads.set(key, shared);
    const over = () => this.#forget(key, shared);
    shared.result.then(over, over);
    return shared;
  }

  #forget(key: string, shared: Load<T>): void {
    if (this.#loads.get(key) === shared) this.#loads.delete(key);
  }
}
