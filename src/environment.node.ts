/** Environment variables: read here and nowhere else. */

/** `NEXTX_DATA`: the folder that holds the data sets. */
export function dataRootFromEnvironment(): string | undefined {
  return process.env.NEXTX_DATA || undefined;
}

/** `NEXTX_TOKEN`: what clients of `nextx serve` must know. */
export function tokenFromEnvironment(): string | undefined {
  return process.env.NEXTX_TOKEN || undefined;
}

/** Whether a program with a window could open here. */
export function hasDesktop(): boolean {
  if (process.platform !== "linux") return true;
  return Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);
}
