/** Runs and claims as clients may ask for them: requests are checked, names become paths, work is queued. */
import { resolve as absolute } from "node:path";
import { z } from "zod";
import { claimIds } from "../claim.node.ts";
import { claimPaths, readResult } from "../evaluate/claim/runClaim.node.ts";
import { validate } from "../formats/validate.ts";
import { resolveRecipe } from "../resolveRecipe.ts";
import { NextxError } from "../tensor/errors.ts";
import { trainableOf, trainables } from "../trainables.ts";
import type { Catalogue } from "./catalogue.node.ts";
import type { Operation } from "./operations/operation.ts";
import type { Operations } from "./operations/operations.node.ts";
import type { Operators } from "./operations/operatorProcess.node.ts";
import type { RunLibrary, RunQuery } from "./runLibrary.node.ts";
import {
  armSchema,
  type ClaimDetail,
  type ClaimInfo,
  type RunDetail,
  type RunList,
  type TrainingInfo,
  type trainSchema,
} from "./runProtocol.ts";

export interface RunsParts {
  readonly catalogue: Catalogue;
  readonly library: RunLibrary;
  readonly operations: Operations;
  readonly operators: Pick<Operators, "ask">;
  /** Folder of results of claims. */
  readonly results: string;
}

type TrainRequest = z.infer<typeof trainSchema>;

/** Recipes of all systems, completed, with their schemas. */
export function trainingInfos(): TrainingInfo[] {
  return [...trainables.values()].map((system) => ({
    id: system.id,
    title: system.title,
    defaultRecipe: system.defaultRecipe,
    recipes: Object.entries(system.recipes).map(([name, { description, expect }]) => ({
      ...{ name, description, expect },
      values: resolveRecipe(system, name) as Record<string, unknown>, // recipes are objects
    })),
    schema: z.toJSONSchema(system.recipeSchema, { io: "input" }),
  }));
}

export class Runs {
  readonly #parts: RunsParts;
  /** Questions about arms that wait for their answer, by system: each takes a process. */
  readonly #asked = new Map<string, Promise<unknown>>();
  #lastAsked: Promise<unknown> = Promise.resolve();

  constructor(parts: RunsParts) {
    this.#parts = parts;
  }

  list(query: RunQuery): Promise<RunList> {
    const { library, operations } = this.#parts;
    const begun = operations.all.filter(({ request }) => request.kind === "train").reverse();
    const byRun = new Map<string, Operation>();
    for (const operation of begun) {
      const { request } = operation;
      if (request.kind === "train" && !byRun.has(request.run)) byRun.set(request.run, operation);
    }
    return library.list(query, (id) => byRun.get(id), [...byRun.values()]);
  }

  /** @throws NextxError RUN_NOT_FOUND */
  read(id: string): Promise<RunDetail> {
    return this.#parts.library.read(id, this.operationOf(id));
  }

  /** The work that trains a run here. */
  operationOf(id: string): Operation | undefined {
    return this.#parts.operations.find((request) => request.kind === "train" && request.run === id);
  }

  /** Queues a new run; gives its id. @throws NextxError RECIPE_, CONFIG_, SYSTEM_, MODEL_ codes, RUN_EXISTS, QUEUE_FULL */
  async begin(asked: TrainRequest): Promise<string> {
    const { system: id, recipe, overrides, from, name, checkpointEvery, observeEvery } = asked;
    const system = trainableOf(id);
    system.stages(resolveRecipe(system, recipe, overrides));
    if (from !== undefined) await this.#requireSystem(from, id);
    const run = this.#freeName(name, `${id}-${recipe ?? system.defaultRecipe}`);
    await this.#parts.operations.submit({
      kind: "train",
      ...{ run, system: id, checkpointEvery, observeEvery },
      begin: { overrides, ...(recipe !== undefined && { recipe }), ...(from !== undefined && { from }) },
    });
    return run;
  }

  /** Lets a run go on, whoever began it. @throws NextxError RUN_NOT_FOUND, RUN_ENDED, JOB_NOT_RETRYABLE, QUEUE_FULL */
  async resume(id: string): Promise<void> {
    const { operations, library } = this.#parts;
    const operation = this.operationOf(id);
    const { state, system } = await library.read(id, operation);
    if (state === "finished" || (state === "running" && operation?.state !== "running"))
      throw new NextxError("RUN_ENDED", `The run is ${state}.`, { path: "id" }); // by another process
    if (operation && operation.state !== "finished") return operations.resume(operation);
    await operations.submit({ kind: "train", run: id, system, checkpointEvery: 50, observeEvery: 500 });
  }

  /** @throws NextxError RUN_NOT_HERE for a run that this server does not train now */
  async stop(id: string): Promise<void> {
    const operation = this.operationOf(id);
    if (operation && !operation.isOver) return this.#parts.operations.stop(operation);
    throw new NextxError("RUN_NOT_HERE", "This server does not train that run.", {
      path: "id",
      hint: "Stop it where it was started: Ctrl-C leaves it resumable.",
    });
  }

  claims(): Promise<ClaimInfo[]> {
    return Promise.all(claimIds().map((id) => this.#claim(id)));
  }

  /** With every arm, and whether it has run. @throws NextxError CLAIM_ codes */
  async claim(system: string): Promise<ClaimDetail> {
    this.#requireClaim(system);
    const arms = await this.#askArms(system);
    return { ...(await this.#claim(system)), arms: validate(z.array(armSchema), arms, "arms") };
  }

  /** One process at a time, and one question for all who ask the same. */
  #askArms(system: string): Promise<unknown> {
    const { operators, results } = this.#parts;
    const known = this.#asked.get(system);
    if (known) return known;
    const ask = () => operators.ask({ kind: "arms", system, results: absolute(results) });
    const answer = this.#lastAsked.then(ask, ask).finally(() => this.#asked.delete(system));
    this.#lastAsked = answer.catch(() => undefined); // whoever asked got the error
    this.#asked.set(system, answer);
    return answer;
  }

  /** Queues arms of a claim, all that are missing when none is named. @throws NextxError CLAIM_UNKNOWN, JOB_RUNS, QUEUE_FULL */
  async beginClaim(system: string, arms: readonly string[] | undefined): Promise<Operation> {
    this.#requireClaim(system);
    const running = this.claimOperation(system);
    if (running && !running.isOver)
      throw new NextxError("JOB_RUNS", `The claim of ${system} is ${running.state}.`, { path: "system" });
    return this.#parts.operations.submit({ kind: "claim", system, ...(arms && { arms: [...arms] }) });
  }

  claimOperation(system: string): Operation | undefined {
    return this.#parts.operations.find((request) => request.kind === "claim" && request.system === system);
  }

  async #claim(system: string): Promise<ClaimInfo> {
    const path = claimPaths(this.#parts.results, system).result;
    const result = await readResult(path).catch(() => undefined); // a damaged one is no result
    const { verdict = null, statement = null } = result ?? {};
    return { system, verdict, statement, operation: this.claimOperation(system)?.info ?? null };
  }

  #requireClaim(system: string): void {
    if (!claimIds().includes(system))
      throw new NextxError("CLAIM_UNKNOWN", "There is no such claim.", { path: "system" });
  }

  async #requireSystem(model: string, system: string): Promise<void> {
    const { info } = await this.#parts.catalogue.find(model);
    if (info.system === system) return;
    throw new NextxError("TRAIN_OTHER_SYSTEM", `${model} is a model of ${info.system}.`, { path: "from" });
  }

  /** @throws NextxError RUN_EXISTS for a name that is taken */
  #freeName(name: string | undefined, base: string): string {
    const isFree = (one: string) => this.#parts.library.isFree(one) && this.operationOf(one) === undefined;
    if (name !== undefined) {
      if (isFree(name)) return name;
      throw new NextxError("RUN_EXISTS", `There is a run "${name}" already.`, { path: "name" });
    }
    for (let number = 1; ; number++) {
      const one = number === 1 ? base : `${base}-${number}`;
      if (isFree(one)) return one;
    }
  }
}
