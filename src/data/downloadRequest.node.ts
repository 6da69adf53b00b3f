/**
 * One HTTP request for a file or for what is missing of it. Redirects are followed by hand, never to a weaker or another
 * scheme. Failures that another try may cure come as `TryAgain`, all others as NextxErrors.
 */
import { NextxError } from "../tensor/errors.ts";

/** A failure that may pass; `error` is what the caller reports when it does not. */
export class TryAgain extends Error {
  readonly error: NextxError;
  /** How long the server asked to wait. */
  readonly afterMs: number | undefined;

  constructor(error: NextxError, afterMs?: number) {
    super(error.message, { cause: error });
    this.error = error;
    this.afterMs = afterMs;
  }
}

/** What to ask for. */
export interface Ask {
  readonly url: string;
  /** First wanted byte; 0 for the whole file. */
  readonly from: number;
  /** ETag or date of the version that the bytes before `from` are of. */
  readonly validator: string | undefined;
}

/** An answer whose body can be read. */
export interface Answer {
  /** First byte of the body in the file: `from`, or 0 when the server sends the whole file. */
  readonly start: number;
  /** Size of the whole file, when the server says it. */
  readonly totalBytes: number | undefined;
  /** ETag (strong) or date, to go on later. */
  readonly validator: string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
}

const maxRedirects = 5;
const redirects: readonly number[] = [301, 302, 303, 307, 308];
const maxRetryAfterMs = 60_000;

/** The error for a request that failed; `url` is named in it. */
export function downloadError(
  code: string,
  url: string,
  message: string,
  hint?: string,
  cause?: unknown,
): NextxError {
  return new NextxError(code, `${url} ${message}.`, { path: url, ...(hint && { hint }), cause });
}

/**
 * An address that may be asked.
 * @throws NextxError DOWNLOAD_BAD_REQUEST
 */
export function parseHttpUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:";
  if (url && isWeb && url.username === "" && url.password === "") return url;
  throw new NextxError(
    "DOWNLOAD_BAD_REQUEST",
    `A download needs an https or http address without a password, got ${JSON.stringify(text)}.`,
    { path: "url" },
  );
}

/**
 * Asks for a file from a byte on. The server may answer with the whole file instead; see `start`.
 * @throws NextxError DOWNLOAD_NOT_FOUND, DOWNLOAD_REFUSED, DOWNLOAD_BAD_REDIRECT, DOWNLOAD_BAD_RESPONSE
 * @throws TryAgain with DOWNLOAD_UNREACHABLE, DOWNLOAD_SERVER_ERROR, DOWNLOAD_RANGE
 */
export async function ask(request: Ask, get: typeof fetch, signal: AbortSignal): Promise<Answer> {
  const { from, validator } = request;
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (from > 0) headers.range = `bytes=${from}-`;
  if (from > 0 && validator !== undefined) headers["if-range"] = validator;
  const response = await follow(request.url, headers, get, signal);
  try {
    return answerOf(response, request);
  } catch (error) {
    await response.body?.cancel().catch(() => undefined); // the error says more
    throw error;
  }
}

async function follow(
  first: string,
  headers: Record<string, string>,
  get: typeof fetch,
  signal: AbortSignal,
): Promise<Response> {
  let url = parseHttpUrl(first);
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const response = await get(url, { headers, signal, redirect: "manual" }).catch((cause: unknown) => {
      if (signal.aborted) throw cause;
      const hint = "Check the network, then run it again; what was received is kept.";
      throw new TryAgain(
        downloadError("DOWNLOAD_UNREACHABLE", first, `cannot be reached (${reasonOf(cause)})`, hint, cause),
      );
    });
    if (!redirects.includes(response.status)) return response;
    await response.body?.cancel().catch(() => undefined); // nothing of it is wanted
    url = nextHop(url, response.headers.get("location"), first);
  }
  throw downloadError("DOWNLOAD_BAD_REDIRECT", first, `redirects more than ${maxRedirects} times`);
}

/** Same scheme, or http to https. */
function nextHop(from: URL, location: string | null, first: string): URL {
  const to = location !== null && URL.canParse(location, from) ? new URL(location, from) : undefined;
  const isSafe = to?.protocol === from.protocol || to?.protocol === "https:";
  if (to && isSafe && to.username === "" && to.password === "") return to;
  throw downloadError("DOWNLOAD_BAD_REDIRECT", first, `redirects to ${JSON.stringify(location)}`);
}

function answerOf(response: Response, { url, from }: Ask): Answer {
  const { status, headers } = response;
  if (status !== 200 && status !== 206) throw statusError(response, url);
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity")
    throw downloadError(
      "DOWNLOAD_BAD_RESPONSE",
      url,
      `is sent packed as ${encoding}, which was not asked for`,
    );
  if (!response.body) throw downloadError("DOWNLOAD_BAD_RESPONSE", url, "has no content");
  const common = { validator: validatorOf(headers), body: response.body };
  if (status === 200) return { ...common, start: 0, totalBytes: wholeNumber(headers.get("content-length")) };
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers.get("content-range") ?? "");
  if (!range || Number(range[1]) !== from)
    throw new TryAgain(downloadError("DOWNLOAD_RANGE", url, `answers with another range than from ${from}`));
  return { ...common, start: from, totalBytes: wholeNumber(range[3]) };
}

function statusError({ status, headers }: Response, url: string): NextxError | TryAgain {
  const said = `answers with status ${status}`;
  if (status === 404 || status === 410)
    return downloadError("DOWNLOAD_NOT_FOUND", url, said, "The file has moved or is gone.");
  if (status === 416) return new TryAgain(downloadError("DOWNLOAD_RANGE", url, said));
  if (status >= 500 || status === 408 || status === 429) {
    const seconds = wholeNumber(headers.get("retry-after"));
    const afterMs = seconds === undefined ? undefined : Math.min(seconds * 1000, maxRetryAfterMs);
    return new TryAgain(
      downloadError("DOWNLOAD_SERVER_ERROR", url, said, "The server has trouble: run it again later."),
      afterMs,
    );
  }
  return downloadError("DOWNLOAD_REFUSED", url, said);
}

/** A weak ETag may not be used for ranges. Source: RFC 9110, section 13.1.5 (If-Range). */
function validatorOf(headers: Headers): string | undefined {
  const tag = headers.get("etag");
  return tag?.startsWith('"') ? tag : (headers.get("last-modified") ?? undefined);
}

function wholeNumber(text: string | null | undefined): number | undefined {
  return text && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** The innermost reason of a failed fetch, such as ECONNREFUSED. */
export function reasonOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  if (!(inner instanceof Error)) return String(inner);
  return "code" in inner ? String(inner.code) : inner.message;
}
