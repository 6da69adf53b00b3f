/**
 * A training run on disk, as it is read: config, metrics log, checkpoints, samples. Takes no lock and changes nothing. Layout:
 * `run.json`, `lock.json`, `metrics.jsonl`, `checkpoints/step-N/`, `checkpoints/LATEST`, `samples/step-N-name.png`.
 */
import { join } from "node:path";
import { z } from "zod";
import { readFolderVerified, sha256Hex } from "../formats/durable.node.ts";
import { type FileLayer, fileError, nodeFiles, systemErrorCode } from "../formats/durableLayer.node.ts";
import { NextxError } from "../tensor/errors.ts";
import type { LockHolder } from "./runFolderLock.node.ts";
import { type MetricsRow, parseMetrics } from "./runFolderMetrics.ts";
import { decodeState, type RunState, requireVersion } from "./runFolderState.ts";
import type { Json } from "./trainer.ts";

/** What a run folder has to say besides results and errors. */
export type RunEvent =
  | { readonly kind: "lock-taken-over"; readonly holder: LockHolder | "unreadable" }
  | { readonly kind: "metrics-repaired"; readonly badLines: number }
  | { readonly kind: "checkpoint-skipped"; readonly name: string; readonly reason: string }
  | { readonly kind: "config-changed"; readonly step: number }
  | { readonly kind: "prune-failed"; readonly name: string; readonly reason: string };

export interface RunFolderOptions {
  readonly files?: FileLayer;
  readonly onEvent?: (event: RunEvent) => void;
  /** Newest checkpoints that are kept; 2 when absent. */
  readonly keep?: number;
  /** Checkpoints whose step is a multiple of this are kept for ever; none when absent. */
  readonly milestoneEvery?: number;
  /** Versions, revision, command, machine: shown in reports, never used. Only for `create`. */
  readonly provenance?: Json;
}

/** A sample picture of a run. */
export interface RunSample {
  readonly step: number;
  readonly name: string;
  readonly path: string;
}

export const runVersion = 1;
export const runFile = "run.json";
export const metricsFile = "metrics.jsonl";
export const latestFile = "LATEST";

/** Whatever JSON.parse gives is JSON. */
const json = z.custom<Json>((value) => value !== undefined);

const runSchema = z.strictObject({
  format: z.literal("nextx-run"),
  version: z.number().int().min(1),
  config: json,
  provenance: json,
});

/** Content of run.json. */
export interface RunFile {
  readonly config: Json;
  readonly provenance: Json;
}

export const stepName = (step: number) => `step-${step}`;
const stepOf = (name: string): number | undefined =>
  /^step-(0|[1-9]\d{0,15})$/.test(name) ? Number(name.slice(5)) : undefined;

/** A run that is only looked at; takes no lock and changes nothing. */
export class RunReader {
  readonly path: string;
  readonly config: Json;
  readonly provenance: Json;
  protected readonly files: FileLayer;
  protected readonly options: RunFolderOptions;

  protected constructor(path: string, run: RunFile, options: RunFolderOptions) {
    this.path = path;
    this.config = run.config;
    this.provenance = run.provenance;
    this.files = options.files ?? nodeFiles;
    this.options = options;
  }

  /**
   * Opens a run for reading.
   * @throws NextxError RUN_NOT_FOUND, RUN_BAD_FILE, RUN_NEWER_VERSION, FILE_ codes
   */
  static async read(path: string, options: RunFolderOptions = {}): Promise<RunReader> {
    return new RunReader(path, await readRunFile(path, options.files ?? nodeFiles), options);
  }

  /** SHA-256 of the config as JSON; checkpoints name the config they were made with. */
  get configSha256(): string {
    return sha256Hex(JSON.stringify(this.config));
  }

  /** Rows of the metrics log; a torn last line is left out. @throws NextxError FILE_ codes */
  async metrics(): Promise<readonly MetricsRow[]> {
    return parseMetrics(await this.readMetricsText()).rows;
  }

  /** Steps of all checkpoint folders, oldest first, whole or not. */
  async checkpoints(): Promise<readonly number[]> {
    const names = await listIfThere(this.files, join(this.path, "checkpoints"));
    return names.flatMap((name) => stepOf(name) ?? []).sort((a, b) => a - b);
  }

  /**
   * The checkpoint that LATEST names, verified; when it is damaged or gone, the newest whole one, which an event tells.
   * Undefined when the run has none yet.
   * @throws NextxError RUN_ALL_DAMAGED, RUN_NEWER_VERSION, FILE_NEWER_VERSION, FILE_ codes other than not found
   */
  async latest(): Promise<RunState | undefined> {
    const steps = await this.checkpoints();
    const pointed = await this.#pointer();
    const order = [...steps].reverse().filter((step) => step !== pointed);
    if (pointed !== undefined) order.unshift(pointed);
    for (const step of order) {
      try {
        return await this.load(step);
      } catch (error) {
        if (!(error instanceof NextxError && maySkip(error.code))) throw error;
        this.emit({ kind: "checkpoint-skipped", name: stepName(step), reason: error.message });
      }
    }
    if (order.length === 0) return undefined;
    throw new NextxError(
      "RUN_ALL_DAMAGED",
      `None of the ${order.length} checkpoints in ${this.path} is whole.`,
      {
        path: this.path,
        hint: "Start the run again in a new folder, or bring the folder back from a copy.",
      },
    );
  }

  /** The checkpoint of one step, verified. @throws NextxError FILE_DAMAGED, FILE_NOT_FOUND, RUN_BAD_STATE and others */
  async load(step: number): Promise<RunState> {
    const folder = join(this.path, "checkpoints", stepName(step));
    const { configSha256, ...state } = decodeState(await readFolderVerified(folder, { files: this.files }));
    if (state.step !== step) {
      throw new NextxError("RUN_BAD_STATE", `${folder} holds step ${state.step}.`, { path: folder });
    }
    if (configSha256 !== this.configSha256) this.emit({ kind: "config-changed", step });
    return state;
  }

  /** Sample pictures, oldest first. */
  async samples(): Promise<readonly RunSample[]> {
    const folder = join(this.path, "samples");
    const found = (await listIfThere(this.files, folder)).flatMap((file): RunSample[] => {
      const [, step, name] = /^step-(\d{1,16})-(.+)\.png$/.exec(file) ?? [];
      return step && name ? [{ step: Number(step), name, path: join(folder, file) }] : [];
    });
    return found.sort((a, b) => a.step - b.step || (a.name < b.name ? -1 : 1));
  }

  protected emit(event: RunEvent): void {
    this.options.onEvent?.(event);
  }

  protected async readMetricsText(): Promise<string> {
    const path = join(this.path, metricsFile);
    try {
      return new TextDecoder().decode(await this.files.read(path));
    } catch (cause) {
      if (systemErrorCode(cause) === "ENOENT") return "";
      throw fileError(cause, path, "read");
    }
  }

  /** The step that LATEST names; undefined when it is missing or torn. */
  async #pointer(): Promise<number | undefined> {
    try {
      const bytes = await this.files.read(join(this.path, "checkpoints", latestFile));
      return stepOf(new TextDecoder().decode(bytes).replace(/\n$/, ""));
    } catch (cause) {
      if (systemErrorCode(cause) === "ENOENT") return undefined;
      throw fileError(cause, latestFile, "read");
    }
  }
}

/** Codes that mean "this checkpoint is not whole", so that an older one may serve. */
export const damageCodes: ReadonlySet<string> = new Set(["FILE_DAMAGED", "FILE_NOT_FOUND", "RUN_BAD_STATE"]);
/** A device that cannot read one checkpoint may still read an older one. */
const maySkip = (code: string) =>
  damageCodes.has(code) || code === "FILE_IO" || code.startsWith("SAFETENSORS_");

/** @throws NextxError RUN_NOT_FOUND, RUN_BAD_FILE, RUN_NEWER_VERSION, FILE_ codes */
export async function readRunFile(path: string, files: FileLayer): Promise<RunFile> {
  const where = join(path, runFile);
  let bytes: Uint8Array;
  try {
    bytes = await files.read(where);
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code !== "ENOENT" && code !== "ENOTDIR") throw fileError(cause, where, "read");
    throw new NextxError("RUN_NOT_FOUND", `${path} is not a run folder (it has no ${runFile}).`, {
      path,
      cause,
    });
  }
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new NextxError("RUN_BAD_FILE", `${where} is not JSON.`, { path: where, cause });
  }
  requireVersion(content, runVersion, where);
  const parsed = runSchema.safeParse(content);
  if (parsed.success) return parsed.data;
  throw new NextxError("RUN_BAD_FILE", `${where} does not describe a run.`, {
    path: where,
    cause: parsed.error,
  });
}

/** Names in a folder; none when there is no folder. */
export async function listIfThere(files: FileLayer, folder: string): Promise<string[]> {
  try {
    return await files.list(folder);
  } catch (cause) {
    if (systemErrorCode(cause) === "ENOENT") return [];
    throw fileError(cause, folder, "read");
  }
}
