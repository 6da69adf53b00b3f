/** The arena, from the page: contests under one budget, and the pictures of those that took part. */
import type { ArenaResult } from "../src/server/arenaProtocol.ts";
import { ask } from "./api.ts";
import { isStatic, siteArena, siteArenaPictures } from "./site.ts";

/** What was contested; null where nothing was. Errors: ApiError. */
export async function readArena(): Promise<ArenaResult> {
  return isStatic ? siteArena() : ((await (await ask("/v1/arena")).json()) as ArenaResult);
}

/** Address of a contestant's pictures, to be revoked when it is not needed any more. Errors: ApiError. */
export async function readPictures(name: string): Promise<string> {
  if (isStatic) return siteArenaPictures(name);
  const response = await ask(`/v1/arena/pictures/${encodeURIComponent(name)}`);
  return URL.createObjectURL(await response.blob());
}

/** The model that a contestant trained. Errors: ApiError. */
export async function readArenaModel(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await ask(`/v1/arena/models/${encodeURIComponent(name)}`);
  return new Uint8Array(await response.arrayBuffer());
}
