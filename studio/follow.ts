/** Listening to what goes on, for as long as somebody looks. */

/** Waits, unless it is over before. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}

export interface Follower<E> {
  /** Opens the stream; its end is not the end of following. */
  open(signal: AbortSignal): AsyncIterable<E>;
  take(event: E): void;
  /** A stream is over, by itself or with an error. */
  onEnd(error?: unknown): void;
  readonly againAfterMs: number;
}

/** Takes events, one stream at a time, until `signal` is aborted: a stream that ends or breaks is opened again. */
export async function follow<E>(follower: Follower<E>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const event of follower.open(signal)) {
        if (signal.aborted) return;
        follower.take(event);
      }
      if (!signal.aborted) follower.onEnd();
    } catch (error) {
      if (!signal.aborted) follower.onEnd(error);
    }
    await pause(follower.againAfterMs, signal);
  }
}
