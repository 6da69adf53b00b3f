/** Files and models of the server, from the page. */
import type { FileInfo, Inspection } from "../src/server/modelProtocol.ts";
import type { OperationInfo } from "../src/server/runProtocol.ts";
import { ask } from "./api.ts";
import { fileToSave } from "./form.ts";
import { sendParts } from "./parts.ts";
import { Turns } from "./turns.ts";
import { shelfName } from "./uploadNames.ts";

const json = async <T>(path: string, init?: RequestInit): Promise<T> =>
  (await (await ask(path, init)).json()) as T; // our own server's

const post = async <T>(path: string, body: unknown): Promise<T> => {
  const headers = { "Content-Type": "application/json" };
  const response = await ask(path, { method: "POST", headers, body: JSON.stringify(body) });
  return (await response.json()) as T; // our own server's
};

export async function listFiles(): Promise<FileInfo[]> {
  return (await json<{ data: FileInfo[] }>("v1/files")).data;
}

/** Address of pictures that a shipped model made, to be revoked when it is not needed any more. */
export async function readSamples(id: string): Promise<string> {
  const response = await ask(`v1/models/${encodeURIComponent(id)}/samples`);
  return URL.createObjectURL(await response.blob());
}

/** A place for a file that will come. */
export const announceFile = ({ name, size }: File): Promise<FileInfo> =>
  post("v1/files", { name: shelfName(name), sizeBytes: size });

/** Sends a file part by part from an offset. What came stays when it is aborted, and can be continued. */
export function sendFile(
  id: string,
  file: File,
  from: number,
  onProgress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const send = async (start: number, end: number): Promise<void> => {
    await ask(`v1/files/${id}/parts?offset=${start}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: file.slice(start, end),
      signal,
    });
  };
  const received = async () => (await listFiles()).find((one) => one.id === id)?.received ?? 0;
  return sendParts({ send, received, onProgress }, from, file.size);
}

/** A look into a large file takes the server seconds, and a page has few connections. */
const inspections = new Turns();
/** By address: a whole file stays as it is. */
const inspected = new Map<string, Inspection>();

/** What a whole file is and holds, or one state dict of it. Looks into one file at a time, and into each once. */
export async function inspectFile(
  id: string,
  key: string | undefined,
  signal: AbortSignal,
): Promise<Inspection> {
  const path = `v1/files/${id}/inspection${key === undefined ? "" : `?${new URLSearchParams({ key })}`}`;
  const known = inspected.get(path);
  if (known) return known;
  const found = await inspections.take(() => json<Inspection>(path, { signal }), signal);
  inspected.set(path, found);
  return found;
}

export async function removeFile(id: string): Promise<void> {
  await ask(`v1/files/${id}`, { method: "DELETE" });
}

/** The name under which a model of the server's files is saved. */
export async function savedName(model: string): Promise<string | undefined> {
  const files = await listFiles().catch((): FileInfo[] => []); // then by its id
  const parts = files.find(({ id }) => `file:${id}` === model)?.parts ?? [];
  return parts.find(({ name }) => name.endsWith(".safetensors"))?.name ?? fileToSave(model);
}

/** Saves a part of a file under its name. */
export async function saveFile(id: string, part: string): Promise<void> {
  const response = await ask(`v1/files/${id}/content/${encodeURIComponent(part)}`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = part;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export async function readCard(model: string): Promise<Record<string, unknown> | null> {
  return (await json<{ card: Record<string, unknown> | null }>(`v1/models/${encodeURIComponent(model)}/card`))
    .card;
}

export interface Conversion {
  readonly files: readonly string[];
  readonly keys?: readonly string[];
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly dtype?: "F32" | "F16" | "BF16";
}

export const convert = (request: Conversion): Promise<OperationInfo> => post("v1/conversions", request);

export const quantize = (request: {
  readonly model: string;
  readonly to: "int8" | "int4" | "f16";
  readonly convolutions: "float" | "calibrated";
}): Promise<OperationInfo> => post("v1/quantizations", request);

export const exportModel = (model: string): Promise<OperationInfo> => post("v1/exports", { model });

/** Work on files and models, newest first. */
export async function listFileWork(): Promise<OperationInfo[]> {
  const { data } = await json<{ data: OperationInfo[] }>("v1/operations");
  return data.filter(({ request }) => "out" in request).reverse();
}
