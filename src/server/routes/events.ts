/** Events of a job or of long work as server-sent events. */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";

/** A comment line after so much silence keeps proxies from hanging up. */
const pingMs = 15_000;

/** What goes on while clients come and go; an event is its kind and what belongs to it. */
interface EventSource {
  events(signal: AbortSignal): AsyncIterable<{ readonly kind: string }>;
}

/** Streams until the source is over or the client is gone; then `onGone` is called, if something must follow from it. */
export function streamEvents(c: Context, source: EventSource, onGone?: () => Promise<unknown>): Response {
  const gone = new AbortController();
  c.req.raw.signal.addEventListener("abort", () => gone.abort(), { once: true });
  c.header("X-Accel-Buffering", "no");
  return streamSSE(c, async (stream) => {
    stream.onAbort(() => gone.abort());
    const ping = setInterval(() => void stream.write(": still here\n\n"), pingMs);
    try {
      for await (const { kind, ...data } of source.events(gone.signal))
        await stream.writeSSE({ event: kind, data: JSON.stringify(data) });
    } finally {
      clearInterval(ping);
      if (gone.signal.aborted) await onGone?.();
    }
  });
}
