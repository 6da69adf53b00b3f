/** Events of a job, of long work or of a measurement as server-sent events. */
import type { ServerResponse } from "node:http";
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";

/** Longest that a client takes nothing of what is sent. */
const stalledMs = 120_000;

/** Hangs up on a client that does not read, called when the answer begins: what it was to get would stay in memory. */
export function endWhenStalled(c: Context): void {
  const { outgoing } = (c.env ?? {}) as { readonly outgoing?: ServerResponse }; // of the adaptor for Node; none in tests
  outgoing?.setTimeout(stalledMs, () => outgoing.destroy());
}

/** A comment line after so much silence keeps proxies from hanging up. */
const pingMs = 15_000;

/** What goes on while clients come and go; an event is its kind and what belongs to it. */
interface EventSource {
  events(signal: AbortSignal): AsyncIterable<{ readonly kind: string }>;
}

/** Streams until the source is over or the client is gone or too slow; then `onEnd`, if something must follow from it. */
export function streamEvents(c: Context, source: EventSource, onEnd?: () => Promise<unknown>): Response {
  endWhenStalled(c);
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
      await onEnd?.();
    }
  });
}
