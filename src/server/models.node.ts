/** Files and models as clients may ask for them: looking, converting, quantising, exporting. */

import type { z } from "zod";
import { validate } from "../formats/validate.ts";
import { findModelPlace } from "../models.node.ts";
import { NextxError } from "../tensor/errors.ts";
import type { Catalogue } from "./catalogue.node.ts";
import type { FileShelf } from "./fileShelf.node.ts";
import {
  type convertSchema,
  type exportSchema,
  type Inspection,
  inspectionSchema,
  type quantizeSchema,
} from "./modelProtocol.ts";
import type { Operation } from "./operations/operation.ts";
import type { Operations } from "./operations/operations.node.ts";
import type { Operators } from "./operations/operatorProcess.node.ts";
import type { OperationRequest } from "./runProtocol.ts";

export interface ModelsParts {
  readonly catalogue: Catalogue;
  readonly shelf: FileShelf;
  readonly operations: Operations;
  readonly operators: Pick<Operators, "ask">;
  /** Takes paths of this machine out of a text. */
  hide(text: string): string;
}

/** Files that are looked at or wait for it. */
const maxAsked = 16;

/** Longest start of a name: what follows it must fit, too. */
const maxStem = 90;

/** A file's name without its ending, as the start of another name. */
const stem = (name: string): string =>
  name
    .replace(/\.[^.]*$/, "")
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, maxStem) || "model";

export class Models {
  readonly #parts: ModelsParts;
  /** Looking takes memory: one file after the other. */
  #looking: Promise<unknown> = Promise.resolve();
  #asked = 0;

  constructor(parts: ModelsParts) {
    this.#parts = parts;
  }

  get shelf(): FileShelf {
    return this.#parts.shelf;
  }

  /** What a file is, as `nextx inspect` says it; read by a process of its own. @throws NextxError FILE_, CHECKPOINT_ and the readers' codes */
  async inspect(id: string, key: string | undefined): Promise<Inspection> {
    const { shelf, operators, hide } = this.#parts;
    const path = await shelf.path(id);
    if (this.#asked >= maxAsked)
      throw new NextxError("QUEUE_FULL", "Other files are being looked at.", {
        hint: "Ask again in a minute.",
      });
    this.#asked++;
    const look = this.#looking
      .catch(() => undefined)
      .then(() => operators.ask({ kind: "inspect", path, key }));
    this.#looking = look;
    try {
      return validate(inspectionSchema, withoutPaths(await look, hide), "inspection");
    } catch (error) {
      if (!(error instanceof NextxError)) throw error;
      const { code, message, hint } = error;
      const crashed = code === "COMPUTE_CRASHED";
      throw new NextxError(
        crashed ? "CHECKPOINT_TOO_MUCH" : code,
        hide(crashed ? "Looking at it took too long." : message),
        {
          path: "id",
          ...(hint !== undefined && { hint: hide(hint) }),
        },
      );
    } finally {
      this.#asked--;
    }
  }

  /** Takes files that belong together. @throws NextxError FILE_ codes, QUEUE_FULL */
  async convert(asked: z.infer<typeof convertSchema>): Promise<Operation> {
    const names = await Promise.all(
      asked.files.map(async (id) => {
        await this.#parts.shelf.path(id);
        return (await this.#parts.shelf.read(id)).name;
      }),
    );
    const name = `${stem(names[0] ?? "model")}-converted.safetensors`;
    return this.#make(name, (out) => ({ kind: "convert", ...asked, out }));
  }

  /** @throws NextxError MODEL_NOT_FOUND, FILE_SHELF_FULL, QUEUE_FULL */
  async quantize(asked: z.infer<typeof quantizeSchema>): Promise<Operation> {
    const name = `${await this.#nameOf(asked.model)}-${asked.to}.safetensors`;
    return this.#make(name, (out) => ({ kind: "quantize", ...asked, out }));
  }

  /** @throws NextxError MODEL_NOT_FOUND, FILE_SHELF_FULL, QUEUE_FULL */
  async export(asked: z.infer<typeof exportSchema>): Promise<Operation> {
    return this.#make(`${await this.#nameOf(asked.model)}-onnx`, (out) => ({
      kind: "export",
      ...asked,
      out,
    }));
  }

  /** A model's card; null where it has none. @throws NextxError MODEL_NOT_FOUND */
  async card(id: string): Promise<Record<string, unknown> | null> {
    const { card } = await findModelPlace((await this.#parts.catalogue.find(id)).name);
    return card ?? null;
  }

  /** @throws NextxError FILE_NOT_HERE, JOB_RUNS while work needs it */
  async remove(id: string): Promise<void> {
    const { operations, shelf } = this.#parts;
    const user = operations.all.find(({ isOver, request }) => !isOver && usesFile(request, id));
    if (user) throw new NextxError("JOB_RUNS", "Work that is not over needs the file.", { path: "id" });
    await shelf.remove(id);
  }

  async #nameOf(model: string): Promise<string> {
    const { info } = await this.#parts.catalogue.find(model);
    return stem(`${info.id.replace(/^(run|file):/, "")}.`);
  }

  async #make(name: string, request: (out: string) => OperationRequest): Promise<Operation> {
    const { shelf, operations } = this.#parts;
    const out = await shelf.add(name, null);
    try {
      return await operations.submit(request(out));
    } catch (error) {
      await shelf.remove(out);
      throw error;
    }
  }
}

const usesFile = (request: OperationRequest, id: string): boolean =>
  ("out" in request && request.out === id) ||
  (request.kind === "convert" && request.files.includes(id)) ||
  ("model" in request && request.model === `file:${id}`) ||
  (request.kind === "train" && request.begin?.from === `file:${id}`);

/** As the command tells it, without where the file lies and what to type. */
function withoutPaths(found: unknown, hide: (text: string) => string): unknown {
  const {
    path: _,
    next: __,
    name: ___,
    ...rest
  } = JSON.parse(hide(JSON.stringify(found))) as Record<string, unknown>; // an object
  return rest;
}
