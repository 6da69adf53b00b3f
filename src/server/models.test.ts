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

const accepting = { submit: async (request: OperationRequest) => ({ request }) };

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

it.each([
  ["a file with a long name", "x".repeat(105), `${"x".repeat(90)}-converted.safetensors`],
  ["a file with a short one", "mine", "mine-converted.safetensors"],
])("makes a file that can be written to from %s", async (_, stem, made) => {
  const shelf = new FileShelf(work);
  const id = await shelf.add(`${stem}.safetensors`, 4);
  await shelf.append(id, 0, new Uint8Array(4));
  const models = new Models({ shelf, operations: accepting } as unknown as ModelsParts); // all that it asks for
  const { request } = await models.convert({ files: [id] });
  const out = "out" in request ? request.out : "";
  expect(await shelf.target(out)).toBe(join(work, out, made));
});

it.each([
  ["run:_mine", "mine-onnx"],
  ["run:...", "model-onnx"],
  ["größer", "gr-er-onnx"],
])("names the export of %s", async (model, made) => {
  const shelf = new FileShelf(work);
  const catalogue = { find: async (id: string) => ({ info: { id } }) };
  const models = new Models({ shelf, catalogue, operations: accepting } as unknown as ModelsParts);
  const { request } = await models.export({ model });
  const out = "out" in request ? request.out : "";
  expect(await shelf.target(out)).toBe(join(work, out, made));
});
