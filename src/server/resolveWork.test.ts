/** What a stored training becomes when its turn comes, also after the model that it began from is gone. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { NextxError } from "../tensor/errors.ts";
import type { Catalogue } from "./catalogue.node.ts";
import { FileShelf } from "./fileShelf.node.ts";
import { resolveWork } from "./resolveWork.node.ts";
import type { OperationRequest } from "./runProtocol.ts";

const work = mkdtempSync(join(tmpdir(), "nextx-resolve-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const catalogue = {
  find: async (id: string) => {
    if (id === "file:there") return { name: "/files/there.safetensors" };
    throw new NextxError("MODEL_NOT_FOUND", "as the test says");
  },
} as unknown as Catalogue; // all that is asked of it
const places = { runs: work, results: work, catalogue, shelf: new FileShelf(work) };
const training = (run: string, from: string): OperationRequest => ({
  kind: "train",
  ...{ run, system: "var", checkpointEvery: 50, observeEvery: 500 },
  begin: { overrides: { train: {} }, from },
});

/** A run folder with some of its files. */
function begun(run: string, ...files: string[]): void {
  mkdirSync(join(work, run));
  for (const name of files) writeFileSync(join(work, run, name), "");
}

it("begins a run from a model, and refuses one that is gone", async () => {
  const begin = { recipe: undefined, overrides: { train: {} }, from: "/files/there.safetensors" };
  expect(await resolveWork(training("new", "file:there"), places)).toMatchObject({ begin });
  begun("early", "run.json"); // has not copied the model yet
  for (const run of ["new", "early"])
    await expect(resolveWork(training(run, "file:gone"), places)).rejects.toMatchObject({
      code: "MODEL_NOT_FOUND",
    });
});

it("lets a run go on that keeps the model it began from", async () => {
  begun("kept", "run.json", "from.safetensors");
  const resolved = await resolveWork(training("kept", "file:gone"), places);
  expect(resolved).toMatchObject({ folder: join(work, "kept"), begin: undefined });
});
