/** Server-sent events of an answer. */
import { EventSourceParserStream } from "eventsource-parser/stream";
import { offline } from "./apiError.ts";
import { isAbort } from "./problems.ts";

/** Errors: AbortError of whoever stopped listening; ApiError OFFLINE where the stream breaks. */
export async function* readEvents<E>(response: Response): AsyncGenerator<E> {
  const reader = response.body
    ?.pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  for (;;) {
    const next = await reader?.read().catch((cause: unknown) => {
      throw isAbort(cause) ? cause : offline("The server went away.");
    });
    if (next === undefined || next.done) return;
    yield { kind: next.value.event, ...JSON.parse(next.value.data) } as E; // our own server's
  }
}
