/** Environment variables: read here and nowhere else. */
import { homedir } from "node:os";
import { join } from "node:path";

/** `NEXTX_DATA`: the folder that holds the data sets. */
export function dataRootFromEnvironment(): string | undefined {
  return process.env.NEXTX_DATA || undefined;
}

/** `NEXTX_TOKEN`: what clients of `nextx serve` must know. */
export function tokenFromEnvironment(): string | undefined {
  return process.env.NEXTX_TOKEN || undefined;
}

/** Folder for what can be computed again: `XDG_CACHE_HOME`, or `.cache` in the home folder. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "nextx");
}

/** Whether a program with a window could open here. */
export function hasDesktop(): boolean {
  if (process.platform !== "linux") return true;
  return Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);
}
