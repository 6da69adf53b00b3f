/** The arena's result and pictures: of the folder of results, else those that ship. Pictures are asked for by name, never by path. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readArena } from "../arena.node.ts";
import { packageRoot } from "../models.node.ts";
import { NextxError } from "../tensor/errors.ts";
import type { ArenaResult } from "./arenaProtocol.ts";

export class ArenaShelf {
  readonly #results: string | undefined;

  /** `results` is where `nextx arena` writes. */
  constructor(results?: string) {
    this.#results = results;
  }

  get #folder(): string {
    const own = this.#results;
    return own !== undefined && existsSync(join(own, "arena.json")) ? own : join(packageRoot(), "results");
  }

  /** @throws NextxError ARENA_BAD_RESULT */
  read(): Promise<ArenaResult> {
    return readArena(this.#folder);
  }

  /** The contact sheet of a contestant, PNG. @throws NextxError ARENA_UNKNOWN, ARENA_BAD_RESULT */
  async pictures(name: string): Promise<Uint8Array> {
    const folder = this.#folder;
    const entry = (await readArena(folder)).image?.entries.find((one) => one.name === name);
    const path = entry && join(folder, "arena", "image", entry.pictures.file);
    if (path !== undefined && existsSync(path)) return readFile(path);
    throw new NextxError("ARENA_UNKNOWN", `There are no pictures of "${name}".`, { path: "name" });
  }
}
