/**
 * A training run on disk, as it is written by one process. The run survives a crash at any moment: checkpoints appear
 * whole, the pointer LATEST moves after them, old ones go last, and the log is on the device before the checkpoint is.
 */
import { dirname, join } from "node:path";
import { isTemporary, verifyFolder, writeFileDurably, writeFolderDurably } from "../formats/durable.node.ts";
import {
  type FileLayer,
  type FileSink,
  fileError,
  nodeFiles,
  systemErrorCode,
} from "../formats/durableLayer.node.ts";
import { NextxError } from "../tensor/errors.ts";
import { acquireLock, type HeldLock, lockName } from "./runFolderLock.node.ts";
import { formatMetricsRow, type MetricsRow, parseMetrics } from "./runFolderMetrics.ts";
import {
  damageCodes,
  latestFile,
  listIfThere,
  metricsFile,
  type RunFile,
  type RunFolderOptions,
  RunReader,
  readRunFile,
  runFile,
  runVersion,
  stepName,
} from "./runFolderReader.node.ts";
import { encodeState, type RunState } from "./runFolderState.ts";
import type { Json } from "./trainer.ts";

const sampleName = /^[a-z0-9](?:[a-z0-9-]{0,60}[a-z0-9])?$/;

/** A run that is written by this process. Close it when done: it holds the folder's lock. */
export class RunFolder extends RunReader implements AsyncDisposable {
  readonly #lock: HeldLock;
  #metrics: FileSink | undefined;
  #lastLogged = 0;
  /** Calls run one after another; after a failed append the log takes no more rows. */
  #queue: Promise<unknown> = Promise.resolve();
  #failure: NextxError | undefined;

  private constructor(path: string, run: RunFile, lock: HeldLock, options: RunFolderOptions) {
    super(path, run, options);
    this.#lock = lock;
  }

  /**
   * Begins a run in a new or empty folder, and locks it. `config` is resolved: everything that decides the run.
   * @throws NextxError RUN_EXISTS, RUN_NOT_EMPTY, RUN_LOCKED, FILE_ codes
   */
  static async create(path: string, config: Json, options: RunFolderOptions = {}): Promise<RunFolder> {
    const files = options.files ?? nodeFiles;
    await makeFolders(files, path);
    await requireUnused(files, path);
    return RunFolder.#locked(path, options, async () => {
      await requireUnused(files, path); // again: someone else may have been quicker
      const run = { config, provenance: options.provenance ?? null };
      const content = { format: "nextx-run", version: runVersion, ...run };
      await writeFileDurably(join(path, runFile), `${JSON.stringify(content, null, 2)}\n`, { files });
      return run;
    });
  }

  /**
   * Continues a run, and locks it; what interrupted writes left behind is cleared away.
   * @throws NextxError RUN_NOT_FOUND, RUN_BAD_FILE, RUN_NEWER_VERSION, RUN_LOCKED, FILE_ codes
   */
  static async open(path: string, options: RunFolderOptions = {}): Promise<RunFolder> {
    const files = options.files ?? nodeFiles;
    await readRunFile(path, files); // a folder that is no run gets no lock file
    return RunFolder.#locked(path, options, () => readRunFile(path, files));
  }

  static async #locked(
    path: string,
    options: RunFolderOptions,
    prepare: () => Promise<RunFile>,
  ): Promise<RunFolder> {
    const lock = await acquireLock(path, options.files ?? nodeFiles);
    try {
      const run = new RunFolder(path, await prepare(), lock, options);
      if (lock.tookOver) run.emit({ kind: "lock-taken-over", holder: lock.tookOver });
      await run.#clearTemporaries();
      await run.#rewriteMetrics(Number.POSITIVE_INFINITY);
      return run;
    } catch (error) {
      await lock.release().catch(() => undefined); // the first failure is the one to report
      throw error;
    }
  }

  /**
   * Appends a row to the metrics log. It is on the device after the next `save` or `close`.
   * @throws NextxError RUN_BAD_STEP when the step goes back, RUN_CLOSED, FILE_ codes
   */
  log(row: MetricsRow): Promise<void> {
    return this.#exclusively(async () => {
      if (this.#failure) throw this.#failure;
      if (!(Number.isSafeInteger(row.step) && row.step >= this.#lastLogged)) {
        throw new NextxError(
          "RUN_BAD_STEP",
          `Step ${row.step} cannot follow step ${this.#lastLogged} in the log.`,
          {
            path: "step",
            hint: "Call rewind with the step that you continue from.",
          },
        );
      }
      const path = join(this.path, metricsFile);
      try {
        this.#metrics ??= await this.files.open(path, "append");
        await this.#metrics.write(new TextEncoder().encode(formatMetricsRow(row)));
      } catch (cause) {
        this.#failure = fileError(cause, path, "write");
        throw this.#failure;
      }
      this.#lastLogged = row.step;
    });
  }

  /**
   * Writes a checkpoint, then moves LATEST to it, then removes old ones. Saving a step twice keeps the first.
   * @throws NextxError RUN_BAD_STATE, RUN_BAD_STEP when there is a later one, RUN_CLOSED, FILE_ codes; the former checkpoints stay as they were
   */
  async save(state: RunState): Promise<void> {
    const contents = encodeState(state, this.configSha256); // copied now: weights may change before it is their turn
    await this.#exclusively(async () => {
      if (this.#failure) throw this.#failure; // a checkpoint whose rows are missing would leave a gap in the log
      const later = (await this.checkpoints()).find((step) => step > state.step);
      if (later !== undefined) throw badStep(state.step, `the checkpoint of step ${later}`);
      await this.#metrics?.sync().catch((cause: unknown) => {
        throw fileError(cause, join(this.path, metricsFile), "write");
      });
      const folder = join(this.path, "checkpoints", stepName(state.step));
      await makeFolders(this.files, dirname(folder));
      if (!(await this.#isWhole(folder))) {
        await this.#remove(folder);
        await writeFolderDurably(folder, contents, { files: this.files });
      }
      await this.#point(state.step);
      await this.#prune();
    });
  }

  /**
   * Goes back to a checkpoint (or to 0, the beginning) before training continues from it: drops later checkpoints, samples
   * and rows of the log, so that no step is logged twice.
   * @throws NextxError RUN_BAD_STEP when there is no such checkpoint, RUN_CLOSED, FILE_ codes
   */
  rewind(step: number): Promise<void> {
    return this.#exclusively(async () => {
      const steps = await this.checkpoints();
      if (steps.includes(step)) await this.#point(step);
      else if (step === 0) await this.#remove(join(this.path, "checkpoints", latestFile));
      else throw noCheckpoint(step, steps);
      for (const later of steps.filter((other) => other > step))
        await this.#remove(join(this.path, "checkpoints", stepName(later)));
      for (const sample of await this.samples()) if (sample.step > step) await this.#remove(sample.path);
      await this.#rewriteMetrics(step);
    });
  }

  /**
   * Keeps a picture. `name` is lower-case letters, digits and dashes; a second one of the same step and name replaces it.
   * @throws NextxError FILE_BAD_NAME, RUN_CLOSED, FILE_ codes
   */
  saveSample(step: number, name: string, png: Uint8Array): Promise<string> {
    return this.#exclusively(async () => {
      if (!sampleName.test(name) || !Number.isSafeInteger(step) || step < 0) {
        throw new NextxError(
          "FILE_BAD_NAME",
          `${JSON.stringify(name)} at step ${step} cannot name a sample.`,
          {
            path: name,
          },
        );
      }
      const path = join(this.path, "samples", `${stepName(step)}-${name}.png`);
      await makeFolders(this.files, dirname(path));
      await writeFileDurably(path, png, { files: this.files });
      return path;
    });
  }

  /** Brings the log to the device and gives the lock back; harmless when repeated. @throws NextxError FILE_ codes */
  async close(): Promise<void> {
    const closed = new NextxError("RUN_CLOSED", `${this.path} was closed.`, { path: this.path });
    if (this.#failure?.code === "RUN_CLOSED") return;
    await this.#queue.catch(() => undefined); // its caller got the error
    const failed = this.#failure;
    this.#failure = closed;
    const metrics = this.#metrics;
    this.#metrics = undefined;
    try {
      const synced = failed ? Promise.resolve() : metrics?.sync();
      await synced?.finally(() => metrics?.close());
    } catch (cause) {
      throw fileError(cause, join(this.path, metricsFile), "write");
    } finally {
      await this.#lock.release();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #exclusively<T>(run: () => Promise<T>): Promise<T> {
    const next = this.#queue
      .catch(() => undefined) // its caller got the error
      .then(() => {
        if (this.#failure?.code === "RUN_CLOSED") throw this.#failure;
        return run();
      });
    this.#queue = next;
    next.catch(() => undefined); // the queue itself reports nothing
    return next;
  }

  async #isWhole(folder: string): Promise<boolean> {
    return verifyFolder(folder, { files: this.files }).then(
      () => true,
      (error: unknown) => {
        if (error instanceof NextxError && damageCodes.has(error.code)) return false;
        throw error;
      },
    );
  }

  async #point(step: number): Promise<void> {
    const path = join(this.path, "checkpoints", latestFile);
    await writeFileDurably(path, `${stepName(step)}\n`, { files: this.files });
  }

  async #prune(): Promise<void> {
    const { keep = 2, milestoneEvery = 0 } = this.options;
    const steps = await this.checkpoints();
    for (const step of steps.slice(0, Math.max(0, steps.length - Math.max(1, keep)))) {
      if (milestoneEvery > 0 && step % milestoneEvery === 0) continue;
      await this.#remove(join(this.path, "checkpoints", stepName(step))).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        this.emit({ kind: "prune-failed", name: stepName(step), reason }); // the new checkpoint is safe: go on
      });
    }
  }

  async #remove(path: string): Promise<void> {
    await this.files.remove(path).catch((cause: unknown) => {
      throw fileError(cause, path, "remove");
    });
  }

  /** Leaves rows up to a step, whole lines only. */
  async #rewriteMetrics(lastStep: number): Promise<void> {
    const path = join(this.path, metricsFile);
    await this.#metrics?.close().catch((cause: unknown) => {
      throw fileError(cause, path, "write");
    });
    this.#metrics = undefined;
    const text = await this.readMetricsText();
    const { rows, badLines, isClean } = parseMetrics(text);
    if (badLines > 0) this.emit({ kind: "metrics-repaired", badLines });
    const kept = rows.filter(({ step }) => step <= lastStep);
    if (!isClean || kept.length < rows.length || text === "")
      await writeFileDurably(path, kept.map(formatMetricsRow).join(""), { files: this.files });
    this.#lastLogged = kept.reduce((last, { step }) => Math.max(last, step), 0);
    this.#failure = undefined;
  }

  async #clearTemporaries(): Promise<void> {
    for (const folder of [this.path, join(this.path, "checkpoints"), join(this.path, "samples")]) {
      for (const name of await listIfThere(this.files, folder))
        if (isTemporary(name)) await this.#remove(join(folder, name));
    }
  }
}

/** @throws NextxError RUN_EXISTS, RUN_NOT_EMPTY unless the folder holds nothing but what a begun `create` left */
async function requireUnused(files: FileLayer, path: string): Promise<void> {
  const names = await listIfThere(files, path);
  if (names.includes(runFile)) {
    throw new NextxError("RUN_EXISTS", `${path} holds a run already.`, {
      path,
      hint: "Resume it, or choose another folder.",
    });
  }
  const foreign = names.find((name) => name !== lockName && !isTemporary(name));
  if (foreign === undefined) return;
  throw new NextxError("RUN_NOT_EMPTY", `${path} is not empty: it holds ${foreign}, and it is no run.`, {
    path,
    hint: "Choose a new or an empty folder.",
  });
}

function noCheckpoint(step: number, steps: readonly number[]): NextxError {
  return new NextxError("RUN_BAD_STEP", `There is no checkpoint of step ${step}.`, {
    path: "step",
    hint: `There are: ${steps.join(", ") || "none"}; 0 is the beginning.`,
  });
}

function badStep(step: number, last: string): NextxError {
  return new NextxError("RUN_BAD_STEP", `Step ${step} cannot follow ${last}.`, {
    path: "step",
    hint: "Call rewind with the step that you continue from.",
  });
}

/** Makes a folder and those above it; each new name is brought to the device. */
async function makeFolders(files: FileLayer, path: string, retried = false): Promise<void> {
  try {
    await files.makeFolder(path);
    await files.syncFolder(dirname(path));
  } catch (cause) {
    const code = systemErrorCode(cause);
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || retried || dirname(path) === path) throw fileError(cause, path, "make");
    await makeFolders(files, dirname(path));
    await makeFolders(files, path, true);
  }
}
