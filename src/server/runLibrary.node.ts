/**
 * The run folders below one folder, whoever began them. Clients name them by id, which is looked up among the names that
 * are there. What never changes about a run is read once; the rest is read for the runs that are shown.
 */
import { existsSync } from "node:fs";
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { nodeFiles } from "../formats/durableLayer.node.ts";
import { suggestion } from "../formats/suggest.ts";
import { isLocked } from "../regimen/runFolderLock.node.ts";
import { parseMetrics } from "../regimen/runFolderMetrics.ts";
import { metricsFile, RunReader, runFile } from "../regimen/runFolderReader.node.ts";
import { modelFileName } from "../regimen/trainRun.node.ts";
import { seriesSystems } from "../systems/registry.ts";
import { NextxError } from "../tensor/errors.ts";
import { trainables } from "../trainables.ts";
import type { Operation } from "./operations/operation.ts";
import {
  type MetricsPart,
  maxMetricsRows,
  type RunDetail,
  type RunInfo,
  type RunList,
} from "./runProtocol.ts";

interface StageFacts {
  readonly name: string;
  readonly steps: number | null;
}

/** What never changes about a run. */
interface Facts {
  readonly id: string;
  readonly system: string;
  readonly recipe: string | null;
  readonly createdMs: number;
  readonly stages: readonly StageFacts[];
}

export interface RunQuery {
  readonly offset: number;
  readonly limit: number;
  /** Words that stand in name, system or recipe. */
  readonly search: string;
  readonly state: RunInfo["state"] | undefined;
}

const makesOf = (system: string): RunDetail["makes"] =>
  seriesSystems.has(system) ? "forecasts" : "pictures";

/** Enough for the last row of a log. */
const tailBytes = 16_384;
/** Files that are read at once. */
const parallel = 32;

const words = (text: string): string[] => text.toLowerCase().split(/\s+/).filter(Boolean);

export class RunLibrary {
  readonly #folder: string;
  readonly #facts = new Map<string, Facts>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Newest first. `trainedBy` gives the work that trains a run here; `begun` are runs that have no folder yet. */
  async list(
    query: RunQuery,
    trainedBy: (id: string) => Operation | undefined,
    begun: readonly Operation[],
  ): Promise<RunList> {
    const facts = await this.#all();
    const asked = words(query.search);
    const there = new Set(facts.map(({ id }) => id));
    const pending = begun.flatMap((operation) => {
      const { request } = operation;
      return request.kind === "train" && !there.has(request.run) ? pendingRun(operation, request) : [];
    });
    const all = [...pending, ...facts.sort((a, b) => b.createdMs - a.createdMs)].filter(
      ({ id, system, recipe }) =>
        asked.every((word) => `${id} ${system} ${recipe ?? ""}`.toLowerCase().includes(word)),
    );
    const complete = (some: typeof all) =>
      inParallel(some, (one) => ("state" in one ? Promise.resolve(one) : this.#info(one, trainedBy(one.id))));
    const { offset, limit, state } = query;
    if (state === undefined)
      return { total: all.length, data: await complete(all.slice(offset, offset + limit)) };
    const matching = (await complete(all)).filter((one) => one.state === state);
    return { total: matching.length, data: matching.slice(offset, offset + limit) };
  }

  /** One that waits for its turn has no folder yet. @throws NextxError RUN_NOT_FOUND, RUN_BAD_FILE, FILE_ codes */
  async read(id: string, operation: Operation | undefined): Promise<RunDetail> {
    const error = operation?.info.error;
    if (operation?.request.kind === "train" && !existsSync(join(this.#folder, id, runFile))) {
      const nothing = { config: null, provenance: null, stages: [] };
      const pending = pendingRun(operation, operation.request);
      return { ...pending, makes: makesOf(pending.system), ...nothing, ...(error && { error }) };
    }
    const facts = await this.#one(id);
    const run = await RunReader.read(join(this.#folder, id));
    const stages = await Promise.all(
      facts.stages.map(async ({ name, steps }, i) => {
        const folder = this.#stageFolder(id, i, name);
        const last = existsSync(join(folder, runFile)) ? await lastRow(folder) : undefined;
        const samples = last && (await (await RunReader.read(folder)).samples());
        return {
          name,
          steps,
          step: last?.step ?? 0,
          samples: [...new Set(samples?.map(({ step }) => step))],
        };
      }),
    );
    const { config, provenance } = run;
    const info = await this.#info(facts, operation);
    const own = info.operation === null ? undefined : error; // not of what another process trains
    return { ...info, makes: makesOf(facts.system), config, provenance, stages, ...(own && { error: own }) };
  }

  /** Rows of a stage's log after a step. @throws NextxError RUN_NOT_FOUND, FILE_ codes */
  async metrics(id: string, stage: string, after: number): Promise<MetricsPart> {
    const folder = await this.#existingStage(id, stage);
    if (folder === undefined) return { rows: [], more: false };
    const rows = (await (await RunReader.read(folder)).metrics()).filter(({ step }) => step > after);
    const end = rows.length > maxMetricsRows ? endOfStep(rows, maxMetricsRows) : rows.length;
    return { rows: rows.slice(0, end), more: end < rows.length };
  }

  /** The picture of a step. @throws NextxError RUN_NOT_FOUND */
  async sample(id: string, stage: string, step: number): Promise<Uint8Array> {
    const folder = await this.#existingStage(id, stage);
    const samples = folder === undefined ? [] : await (await RunReader.read(folder)).samples();
    const path = samples.find((sample) => sample.step === step)?.path;
    if (path !== undefined) return nodeFiles.read(path);
    throw new NextxError("RUN_NOT_FOUND", `${id} has no picture of step ${step}.`, { path: "step" });
  }

  /** Whether a name is free for a new run. */
  isFree(id: string): boolean {
    return !existsSync(join(this.#folder, id));
  }

  /** @throws NextxError RUN_NOT_FOUND */
  async requireThere(id: string): Promise<void> {
    await this.#one(id);
  }

  async #all(): Promise<Facts[]> {
    const entries = await readdir(this.#folder, { withFileTypes: true }).catch(() => []); // no runs yet
    const names = entries
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
      .map(({ name }) => name);
    const present = new Set(names);
    for (const id of this.#facts.keys()) if (!present.has(id)) this.#facts.delete(id);
    const read = async (id: string) => {
      const known = this.#facts.get(id) ?? (await readFacts(join(this.#folder, id), id));
      if (known) this.#facts.set(id, known);
      return known ?? [];
    };
    return (await inParallel(names, read)).flat();
  }

  async #one(id: string): Promise<Facts> {
    const all = await this.#all();
    const found = all.find((facts) => facts.id === id);
    if (found) return found;
    throw new NextxError("RUN_NOT_FOUND", "There is no such run.", {
      path: "id",
      hint: suggestion(
        id,
        all.slice(0, 200).map((facts) => facts.id),
      ),
    });
  }

  #stageFolder(id: string, index: number, name: string): string {
    return join(this.#folder, id, `${index + 1}-${name}`);
  }

  /** Undefined for a stage that has not begun. @throws NextxError RUN_NOT_FOUND */
  async #existingStage(id: string, stage: string): Promise<string | undefined> {
    const { stages } = await this.#one(id);
    const index = stages.findIndex(({ name }) => name === stage);
    if (index < 0) throw new NextxError("RUN_NOT_FOUND", `${id} has no stage "${stage}".`, { path: "stage" });
    const folder = this.#stageFolder(id, index, stage);
    return existsSync(join(folder, runFile)) ? folder : undefined;
  }

  async #info(facts: Facts, operation: Operation | undefined): Promise<RunInfo> {
    const { id, system, recipe, createdMs, stages } = facts;
    const folder = join(this.#folder, id);
    const isFinished = existsSync(join(folder, modelFileName));
    const now = await this.#position(id, stages);
    const mayBeElsewhere = !isFinished && operation?.isOver !== false;
    const isElsewhere = mayBeElsewhere && (await isLocked(folder, nodeFiles)); // by a process of somebody else
    return {
      ...{ id, system, recipe, createdMs },
      state: isFinished ? "finished" : isElsewhere ? "running" : stateOf(operation),
      ...now,
      operation: isElsewhere ? null : (operation?.id ?? null),
    };
  }

  /** The last stage that has begun, and how far it is. */
  async #position(
    id: string,
    stages: readonly StageFacts[],
  ): Promise<Pick<RunInfo, "stage" | "step" | "steps" | "loss">> {
    for (const [i, { name, steps }] of [...stages.entries()].reverse()) {
      const last = await lastRow(this.#stageFolder(id, i, name));
      if (last) return { stage: name, steps, ...last };
    }
    return { stage: null, step: 0, steps: null, loss: null };
  }
}

/** Of a run that has no model yet. */
const stateOf = (operation: Operation | undefined): RunInfo["state"] =>
  operation && operation.state !== "finished" ? operation.state : "stopped";

function pendingRun(operation: Operation, request: Operation["request"] & { kind: "train" }): RunInfo {
  return {
    id: request.run,
    system: request.system,
    recipe: request.begin?.recipe ?? null,
    state: operation.state,
    createdMs: operation.createdMs,
    ...{ stage: null, step: 0, steps: null, loss: null },
    operation: operation.id,
  };
}

/** Undefined for what is no run, or not one of a system that trains here. */
async function readFacts(folder: string, id: string): Promise<Facts | undefined> {
  try {
    const { config, provenance } = await RunReader.read(folder);
    const { mtimeMs: createdMs } = await stat(join(folder, runFile));
    const [system, recipe] = [textAt(config, "system"), textAt(provenance, "recipe")];
    const known = trainables.get(system ?? "");
    if (known === undefined) return undefined;
    const stages = known.stages(config).map(({ name, steps }) => ({ name, steps }));
    return { id, system: known.id, recipe: recipe ?? null, createdMs, stages };
  } catch {
    return undefined; // damaged, or begun by another version: no reason not to show the rest
  }
}

function textAt(json: unknown, key: string): string | undefined {
  const value =
    typeof json === "object" && json !== null ? (json as Record<string, unknown>)[key] : undefined; // asked for
  return typeof value === "string" ? value : undefined;
}

/** Step of a log's last row, and the last loss; undefined without a log or rows. */
async function lastRow(folder: string): Promise<{ step: number; loss: number | null } | undefined> {
  const file = await open(join(folder, metricsFile)).catch(() => undefined); // has not begun
  if (file === undefined) return undefined;
  try {
    const { size } = await file.stat();
    const start = Math.max(0, size - tailBytes);
    const bytes = new Uint8Array(size - start);
    await file.read(bytes, 0, bytes.length, start);
    const { rows } = parseMetrics(new TextDecoder().decode(bytes));
    const last = rows.at(-1);
    const loss = rows.findLast((row) => typeof row.loss === "number")?.loss;
    return last && { step: last.step, loss: typeof loss === "number" ? loss : null };
  } finally {
    await file.close();
  }
}

/** Rows of one step stay together. */
function endOfStep(rows: MetricsPart["rows"], limit: number): number {
  let end = limit;
  while (end > 0 && rows[end]?.step === rows[end - 1]?.step) end--;
  return end > 0 ? end : limit;
}

async function inParallel<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += parallel)
    results.push(...(await Promise.all(items.slice(at, at + parallel).map(run))));
  return results;
}
