/** Files and models of the server, from the page. */
import type { FileInfo, Inspection } from "../src/server/modelProtocol.ts";
import type { OperationInfo } from "../src/server/runProtocol.ts";
import { ask } from "./api.ts";

/** Bytes per request: what the server takes at once. */
const partBytes = 8 * 2 ** 20;

const json = async <T>(path: string): Promise<T> => (await (await ask(path)).json()) as T; // our own server's

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

/** Sends a file part by part; gives its id. An aborted one is removed. */
export async function bring(
  file: File,
  onProgress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<string> {
  const name = file.name.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "");
  const { id } = await post<FileInfo>("v1/files", { name, sizeBytes: file.size });
  try {
    for (let at = 0; at < file.size; at += partBytes) {
      onProgress(at, file.size);
      await ask(`v1/files/${id}/parts?offset=${at}`, {
        method: "POST",
        headers: { "Content-Type": "application/octet-stream" },
        body: file.slice(at, at + partBytes),
        signal,
      });
    }
  } catch (error) {
    await removeFile(id).catch(() => undefined); // the first failure is the one to report
    throw error;
  }
  return id;
}

export function inspectFile(id: string, key?: string): Promise<Inspection> {
  return json(`v1/files/${id}/inspection${key === undefined ? "" : `?${new URLSearchParams({ key })}`}`);
}

export async function removeFile(id: string): Promise<void> {
  await ask(`v1/files/${id}`, { method: "DELETE" });
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
