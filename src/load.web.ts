/** Opening a model by its address, in a page or a worker. The file is used only when its size and hash are those expected. */
import { describedModel } from "./formats/modelFile.ts";
import { toWeights } from "./formats/quantisedTensors.ts";
import { readSafetensors } from "./formats/safetensors.ts";
import { type Model, openModel } from "./model.ts";
import type { FoundModel, ModelCard } from "./modelCard.ts";
import type { Device } from "./runtime/device.ts";
import { NextxError } from "./tensor/errors.ts";

/** Where a model file lies, and how it is known to be the right one. */
export interface ModelAddress {
  /** Name in recipes. */
  readonly name: string;
  readonly url: string;
  readonly sizeBytes: number;
  /** Of the whole file, as 64 hexadecimal digits. */
  readonly sha256: string;
  readonly card?: ModelCard;
  /** Sent with the request, for servers that want a token. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** How a model is fetched, and where it computes. */
export interface LoadUrlOptions {
  readonly device: Device;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Fetches, checks and opens a model.
 * @throws NextxError MODEL_NOT_FOUND, MODEL_UNREACHABLE, MODEL_DAMAGED, PAGE_NOT_SECURE, ABORTED, and the codes of model
 * files and `openModel`
 */
export async function loadUrl(address: ModelAddress, options: LoadUrlOptions): Promise<Model> {
  return openModel(await fetchModel(address, options), options.device);
}

/** Fetches and checks a model without opening it. @throws NextxError as `loadUrl` */
export async function fetchModel(
  address: ModelAddress,
  options: Omit<LoadUrlOptions, "device"> = {},
): Promise<FoundModel> {
  const bytes = await fetchBytes(address, options);
  if ((await sha256Of(bytes)) !== address.sha256) throw damaged(address, "it has another hash");
  return modelOfBytes(bytes, address);
}

/** A model from its file's bytes, whose hash is known. @throws NextxError the codes of readSafetensors and describedModel */
export function modelOfBytes(
  bytes: Uint8Array,
  { name, sha256, card }: Pick<ModelAddress, "name" | "sha256" | "card">,
): FoundModel {
  const { tensors, metadata } = readSafetensors(bytes);
  const { description, notes } = describedModel(metadata, name);
  const weights = toWeights(tensors);
  return { name, path: name, recipeName: name, sha256, card: card ?? notes.card, description, weights };
}

/** SHA-256 in hexadecimal. @throws NextxError PAGE_NOT_SECURE where the browser computes none */
export async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const { subtle } = globalThis.crypto;
  if (subtle === undefined) {
    throw new NextxError("PAGE_NOT_SECURE", "Models are checked by their hash, which needs a secure page.", {
      hint: "Open the page over https, or on localhost.",
    });
  }
  const digest = new Uint8Array(await subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function fetchBytes(
  address: ModelAddress,
  { onProgress, signal }: Omit<LoadUrlOptions, "device">,
): Promise<Uint8Array<ArrayBuffer>> {
  const { name, url, sizeBytes, headers } = address;
  try {
    const response = await fetch(url, { ...(headers && { headers }), ...(signal && { signal }) });
    if (!response.ok || response.body === null) {
      const code = response.status === 404 ? "MODEL_NOT_FOUND" : "MODEL_UNREACHABLE";
      throw new NextxError(code, `${name} could not be fetched (${response.status}).`, { path: url });
    }
    const bytes = new Uint8Array(sizeBytes);
    let done = 0;
    const reader = response.body.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (done + next.value.length > sizeBytes) {
        await reader.cancel();
        throw damaged(address, `it is longer than ${sizeBytes} bytes`);
      }
      bytes.set(next.value, done);
      done += next.value.length;
      onProgress?.(done, sizeBytes);
    }
    if (done < sizeBytes) throw damaged(address, `it has ${done} bytes instead of ${sizeBytes}`);
    return bytes;
  } catch (cause) {
    if (cause instanceof NextxError) throw cause;
    if (signal?.aborted) throw new NextxError("ABORTED", "The work was cancelled.", { cause });
    throw new NextxError("MODEL_UNREACHABLE", `${name} could not be fetched.`, {
      path: url,
      hint: "Is the page's server still there? Offline, only models that were used before are at hand.",
      cause,
    });
  }
}

const damaged = ({ name, url }: ModelAddress, why: string): NextxError =>
  new NextxError("MODEL_DAMAGED", `${name} is not the file that was expected: ${why}.`, {
    path: url,
    hint: "Reload the page; if it stays so, the site was changed without being built again.",
  });
