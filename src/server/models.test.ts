/** Files of clients: which may go, and what work on them is called. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { FileShelf } from "./fileShelf.node.ts";
import { Models, type ModelsParts } from "./models.node.ts";
import type { OperationRequest } from "./runProtocol.ts";

const work = mkdtempSync(join(tmpdir(), "nextx-models-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

it("keeps a file that a training goes on from until that is over", async () => {
  const shelf = new FileShelf(work);
  const id = await shelf.add("mine.safetensors", 10);
  const request: OperationRequest = {
    kind: "train",
    ...{ run: "r", system: "var", checkpointEvery: 50, observeEvery: 500 },
    begin: { overrides: {}, from: `file:${id}` },
  };
  const training = { isOver: false, request };
  const parts = { shelf, operations: { all: [training] } };
  const models = new Models(parts as unknown as ModelsParts); // all that removing asks for
  await expect(models.remove(id)).rejects.toMatchObject({ code: "JOB_RUNS" });
  training.isOver = true;
  await expect(models.remove(id)).resolves.toBeUndefined();
});
