/**
 * Downloads one file whose checksum is known: in parts that a later try or process goes on from, with retries, limits on
 * size and on silence. The file appears under its name only when its checksum is right, whole and durably; it is never in
 * memory as a whole.
 */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { writePartsDurably } from "../formats/durable.node.ts";
import { type FileLayer, fileError, nodeFiles } from "../formats/durableLayer.node.ts";
import { NextxError } from "../tensor/errors.ts";
import { PartFile, partBusy } from "./downloadPart.node.ts";
import { type Answer, ask, downloadError, parseHttpUrl, reasonOf, TryAgain } from "./downloadRequest.node.ts";
import { SilenceWatch } from "./silenceWatch.ts";

/** Which file, and where it goes. */
export interface DownloadRequest {
  /** https or http. */
  readonly url: string;
  /** Final name; folders above it are made, a file that stands there is replaced when the new one is right. */
  readonly path: string;
  /** Lower-case hexadecimal SHA-256 of the file as sent; or else `gitSha1`. */
  readonly sha256?: string;
  /** Git's name of the file's content (SHA-1 of "blob SIZE\\0" and the bytes); needs `sizeBytes`. */
  readonly gitSha1?: string;
  /** Its size, when known: a server that offers another one is refused at once. */
  readonly sizeBytes?: number;
}

/** How far a download is. */
export interface DownloadProgress {
  readonly receivedBytes: number;
  /** Undefined while nobody said it. */
  readonly totalBytes: number | undefined;
  /** Bytes that an earlier try or process had received. */
  readonly resumedBytes: number;
  /** From 1. */
  readonly attempt: number;
}

export interface DownloadOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Larger files are refused; 1 GiB when absent. */
  readonly maxBytes?: number;
  /** A server that sends less than 1 KiB in this time is given up; 30,000 when absent. */
  readonly silenceMs?: number;
  /** Tries in all, with growing pauses between; 5 when absent. */
  readonly attempts?: number;
  /** First pause between tries; doubles up to 30 s; 500 when absent. */
  readonly pauseMs?: number;
  /** The network and the file system, for tests. */
  readonly fetch?: typeof fetch;
  readonly files?: FileLayer;
}

/** What a download took. */
export interface DownloadResult {
  readonly path: string;
  readonly sizeBytes: number;
  /** Bytes that were there already when it began. */
  readonly resumedBytes: number;
  readonly attempts: number;
}

const maxPauseMs = 30_000;

/** Everything that the steps of one download share. */
interface Work {
  readonly request: DownloadRequest;
  readonly options: DownloadOptions;
  readonly part: PartFile;
  readonly maxBytes: number;
  readonly files: FileLayer;
  /** Whether the part may hold bytes of more than one answer, so that a wrong checksum deserves a fresh start. */
  isMixed: boolean;
  attempts: number;
}

/**
 * Downloads a file. When it throws, nothing new stands under the final name; what was received is kept for the next time
 * unless it was wrong.
 * @throws NextxError DOWNLOAD_BAD_REQUEST; DOWNLOAD_NOT_FOUND, DOWNLOAD_REFUSED, DOWNLOAD_BAD_REDIRECT, DOWNLOAD_BAD_RESPONSE,
 * DOWNLOAD_TOO_LARGE, DOWNLOAD_WRONG_SIZE, DOWNLOAD_WRONG_CHECKSUM, DOWNLOAD_BUSY; after all tries DOWNLOAD_UNREACHABLE,
 * DOWNLOAD_SERVER_ERROR, DOWNLOAD_INTERRUPTED, DOWNLOAD_STALLED, DOWNLOAD_RANGE; ABORTED; FILE_ codes
 */
export async function downloadFile(
  request: DownloadRequest,
  options: DownloadOptions = {},
): Promise<DownloadResult> {
  requireRequest(request);
  const { files = nodeFiles, maxBytes = 2 ** 30 } = options;
  await mkdir(dirname(request.path), { recursive: true }).catch((cause: unknown) => {
    throw fileError(cause, dirname(request.path), "make");
  });
  const part = await PartFile.open(request.path, { url: request.url, checksum: wanted(request) }, files);
  const resumedBytes = part.sizeBytes;
  const work: Work = { request, options, part, maxBytes, files, attempts: 0, isMixed: resumedBytes > 0 };
  if (part.sizeBytes > (request.sizeBytes ?? maxBytes)) await restart(work);
  await receiveAll(work);
  let delivered = await deliver(work);
  if (delivered.found !== wanted(request) && work.isMixed) {
    await restart(work);
    await receiveAll(work);
    delivered = await deliver(work);
  }
  const { found, sizeBytes } = delivered;
  if (found !== wanted(request)) {
    await part.clear();
    const kind = request.sha256 === undefined ? "Git's SHA-1" : "SHA-256";
    const message = `is not the file it should be: ${kind} is ${found}, not ${wanted(request)}`;
    const hint = "The file at its home has changed or was damaged on the way; nothing was kept.";
    throw downloadError("DOWNLOAD_WRONG_CHECKSUM", request.url, message, hint);
  }
  await part.clear();
  return { path: request.path, sizeBytes, resumedBytes, attempts: work.attempts };
}

const wanted = ({ sha256, gitSha1 }: DownloadRequest): string => sha256 ?? gitSha1 ?? "";

/** Stops a copy whose checksum turned out wrong. */
class WrongChecksum extends Error {}

/** Copies the part to its final name while hashing it; nothing appears there when the checksum is wrong. */
async function deliver({ request, part, files }: Work): Promise<{ found: string; sizeBytes: number }> {
  const { sha256, sizeBytes = 0, path } = request;
  const hash = createHash(sha256 === undefined ? "sha1" : "sha256");
  if (sha256 === undefined) hash.update(`blob ${sizeBytes}\0`);
  const result = { found: "", sizeBytes: 0 };
  async function* checked(): AsyncGenerator<Uint8Array> {
    for await (const chunk of part.chunks()) {
      hash.update(chunk);
      result.sizeBytes += chunk.length;
      yield chunk;
    }
    result.found = hash.digest("hex");
    if (result.found !== wanted(request)) throw new WrongChecksum();
  }
  try {
    await writePartsDurably(path, checked(), { files });
  } catch (error) {
    if (result.found === "" || result.found === wanted(request)) throw error;
  }
  return result;
}

function requireRequest({ url, sha256, gitSha1, sizeBytes }: DownloadRequest): void {
  parseHttpUrl(url);
  const bad = (path: string, message: string) => new NextxError("DOWNLOAD_BAD_REQUEST", message, { path });
  if (gitSha1 === undefined && !/^[0-9a-f]{64}$/.test(sha256 ?? ""))
    throw bad("sha256", `A SHA-256 is 64 lower-case hexadecimal digits, got ${JSON.stringify(sha256)}.`);
  if (
    gitSha1 !== undefined &&
    (!/^[0-9a-f]{40}$/.test(gitSha1) || sha256 !== undefined || sizeBytes === undefined)
  )
    throw bad("gitSha1", "Git's SHA-1 is 40 lower-case hexadecimal digits, with a size and no SHA-256.");
  if (sizeBytes !== undefined && !(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0))
    throw bad("sizeBytes", `A size is a whole number of bytes, got ${String(sizeBytes)}.`);
}

async function restart(work: Work): Promise<void> {
  await work.part.clear();
  work.isMixed = false;
}

/** Gets all bytes of the file into the part, not yet checked. */
async function receiveAll(work: Work): Promise<void> {
  const { attempts = 5, pauseMs = 500, signal } = work.options;
  const { part, request } = work;
  for (let attempt = 1; part.sizeBytes === 0 || part.sizeBytes !== request.sizeBytes; attempt++) {
    work.attempts++;
    try {
      await receive(work, attempt);
      break;
    } catch (error) {
      if (signal?.aborted) throw aborted(signal);
      if (!(error instanceof TryAgain)) {
        if (error instanceof NextxError && error.code === "DOWNLOAD_TOO_LARGE") await restart(work);
        throw error;
      }
      if (error.error.code === "DOWNLOAD_RANGE") await restart(work);
      if (attempt >= attempts) throw error.error;
      const wait = error.afterMs ?? Math.min(pauseMs * 2 ** (attempt - 1), maxPauseMs);
      await pause(wait, undefined, signal && { signal }).catch(() => {
        throw aborted(signal);
      });
    }
  }
  if ((await part.sizeOnDisk()) !== part.sizeBytes) throw partBusy(part.path);
}

/** One request, to its end. */
async function receive(work: Work, attempt: number): Promise<void> {
  const { request, options, part } = work;
  const { silenceMs = 30_000, signal, fetch: get = fetch } = options;
  if (signal?.aborted) throw aborted(signal);
  using watch = new SilenceWatch(silenceMs, signal);
  const resumedBytes = part.sizeBytes;
  try {
    const question = { url: request.url, from: resumedBytes, validator: part.validator };
    const answer = await ask(question, get, watch.signal);
    await store(work, answer, (count) => {
      watch.heard(count);
      const { sizeBytes: receivedBytes } = part;
      const totalBytes = request.sizeBytes ?? answer.totalBytes;
      options.onProgress?.({ receivedBytes, totalBytes, resumedBytes: answer.start, attempt });
    });
  } catch (error) {
    if (!watch.isSilent) throw error;
    const message = `sent almost nothing for ${silenceMs} ms`;
    const hint = "Run it again; what was received is kept.";
    throw new TryAgain(downloadError("DOWNLOAD_STALLED", request.url, message, hint, error));
  }
}

/** Appends an answer's body to the part. */
async function store(work: Work, answer: Answer, onBytes: (count: number) => void): Promise<void> {
  const { request, part, maxBytes } = work;
  const { url, sizeBytes } = request;
  const { totalBytes, validator, start } = answer;
  if (totalBytes !== undefined) requireTotal(work, totalBytes);
  if (start === 0) await restart(work);
  else work.isMixed = true;
  const sink = await part.append(validator);
  try {
    for await (const chunk of lost(url, answer.body)) {
      if (part.sizeBytes + chunk.length > (sizeBytes ?? maxBytes)) throw tooLarge(url, sizeBytes ?? maxBytes);
      await sink.write(chunk);
      onBytes(chunk.length);
    }
  } finally {
    await sink.close().catch(() => undefined); // the checksum finds what is missing
  }
  const expected = totalBytes ?? sizeBytes;
  if (expected !== undefined && part.sizeBytes < expected)
    throw interrupted(url, `ended after ${part.sizeBytes} of ${expected} bytes`);
}

/** The chunks; a connection that breaks becomes TryAgain. */
async function* lost(url: string, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await chunks.next().catch((cause: unknown) => {
        throw interrupted(url, `was cut off (${reasonOf(cause)})`, cause);
      });
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await chunks.return?.().catch(() => undefined); // closes the connection
  }
}

function requireTotal({ request: { url, sizeBytes }, maxBytes }: Work, totalBytes: number): void {
  if (sizeBytes !== undefined && totalBytes !== sizeBytes) {
    const hint = "The file at its home has changed.";
    throw downloadError("DOWNLOAD_WRONG_SIZE", url, `has ${totalBytes} bytes, not ${sizeBytes}`, hint);
  }
  if (totalBytes > maxBytes) throw tooLarge(url, maxBytes);
}

const tooLarge = (url: string, limit: number): NextxError =>
  downloadError("DOWNLOAD_TOO_LARGE", url, `is larger than ${limit} bytes`);

const interrupted = (url: string, message: string, cause?: unknown): TryAgain =>
  new TryAgain(
    downloadError("DOWNLOAD_INTERRUPTED", url, message, "Run it again; what was received is kept.", cause),
  );

const aborted = (signal: AbortSignal | undefined): NextxError =>
  new NextxError("ABORTED", "The download was cancelled; what was received is kept.", {
    cause: signal?.reason,
  });
