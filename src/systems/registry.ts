/** All systems, by id. */
import type { ImageSystem } from "../regimen/system.ts";
import { sarSystem } from "./sar/system.ts";
import { varSystem } from "./var/system.ts";

/** Systems that make pictures. */
export const imageSystems: ReadonlyMap<string, ImageSystem> = new Map(
  [varSystem, sarSystem].map((s) => [s.id, s]),
);
