/**
 * Where the page's data are: a server answers, or, in a static site, files lie beside the page. Every address is relative
 * to the page, so that a site works below any path.
 */
import type { ModelAddress } from "../src/index.web.ts";
import type { ArenaResult } from "../src/server/arenaProtocol.ts";
import type { MeasuredDynamics, ModelInfo, SystemInfo } from "../src/server/protocol.ts";

/** Folder of a static site's data, named in its first page; undefined where a server answers. */
const data = document.querySelector<HTMLMetaElement>('meta[name="nextx-data"]')?.content;

/** Whether there is no server to ask. */
export const isStatic = data !== undefined;

const absolute = (path: string): string => new URL(path, document.baseURI).href;

/** Folder of the runtime's files. */
export const runtimeFolder = absolute("runtime/");

/** Where a model's file lies. */
export function addressOf(
  { id, sha256, sizeBytes }: ModelInfo,
  headers?: Record<string, string>,
): ModelAddress {
  const path = isStatic ? `models/${id}/model.safetensors` : `v1/models/${encodeURIComponent(id)}/file`;
  return {
    name: id.replace(/^run:/, ""),
    url: absolute(path),
    sizeBytes,
    sha256,
    ...(headers && { headers }),
  };
}

async function readData<T>(name: string): Promise<T> {
  const response = await fetch(absolute(`${data}${name}.json`));
  if (!response.ok) throw new Error(`The site lacks ${name}.json (${response.status}). Build it again.`);
  return (await response.json()) as T; // written with the page
}

/** Models that lie beside a static page. */
export const siteModels = (): Promise<ModelInfo[]> => readData("models");

/** The catalogue that lies beside a static page. */
export const siteSystems = (): Promise<SystemInfo[]> => readData("systems");

/** The measurement of dynamics that lies beside a static page. */
export const siteDynamics = (): Promise<MeasuredDynamics | null> => readData("dynamics");

/** Contests that lie beside a static page. */
export const siteArena = (): Promise<ArenaResult> => readData("arena");

/** Where the pictures of a contestant lie beside a static page. */
export const siteArenaPictures = (name: string): string => absolute(`${data}arena-${name}.png`);
