/** The arena's result, pictures and models: of the folder of results, else those that ship. Asked for by name, never by path. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { arenaModel, readArena } from "../arena.node.ts";
import { encodeModel } from "../formats/modelFile.ts";
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

  /** The model file of a contestant, float16. @throws NextxError ARENA_UNKNOWN where its weights do not lie, ARENA_BAD_RESULT */
  async model(name: string): Promise<Uint8Array> {
    const folder = this.#folder;
    const isThere = (await readArena(folder)).image?.entries.some((one) => one.name === name);
    const file = isThere ? await arenaModel(name, folder).catch(absent) : undefined;
    if (file) return encodeModel(file, "F16");
    throw new NextxError("ARENA_UNKNOWN", `The model of "${name}" is not here.`, {
      path: "name",
      hint: "nextx arena image trains it; the package brings figures and pictures alone.",
    });
  }
}

/** For what shipped without weights, or has others than its row says. */
function absent(error: unknown): undefined {
  if (error instanceof NextxError && /^CLAIM_(MISSING|DAMAGED)_ARM$/.test(error.code)) return undefined;
  throw error;
}
