/** Events of long work as server-sent events. */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { Operation } from "../operations/operation.ts";

/** A comment line after so much silence keeps proxies from hanging up. */
const pingMs = 15_000;

/** Streams until the work is over or the client is gone; the work goes on either way. */
export function streamOperation(c: Context, operation: Operation): Response {
  const gone = new AbortController();
  c.req.raw.signal.addEventListener("abort", () => gone.abort(), { once: true });
  c.header("X-Accel-Buffering", "no");
  return streamSSE(c, async (stream) => {
    stream.onAbort(() => gone.abort());
    const ping = setInterval(() => void stream.write(": still here\n\n"), pingMs);
    try {
      for await (const { kind, ...data } of operation.events(gone.signal))
        await stream.writeSSE({ event: kind, data: JSON.stringify(data) });
    } finally {
      clearInterval(ping);
    }
  });
}
