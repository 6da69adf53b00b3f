/** Parts of files: refused before they are read when they cannot be the next ones. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OpenAPIHono } from "@hono/zod-openapi";
import { afterAll, expect, it } from "vitest";
import { statusOf, toNextxError } from "./errors.ts";
import { FileShelf } from "./fileShelf.node.ts";
import type { Models } from "./models.node.ts";
import { addFiles } from "./routes/files.ts";

const work = mkdtempSync(join(tmpdir(), "nextx-shelf-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

it("asks for a part only where it can be the next", async () => {
  const shelf = new FileShelf(work);
  const app = new OpenAPIHono();
  app.onError((error, c) => c.json({}, statusOf(toNextxError(error)) as 400)); // any of the statuses
  addFiles(app, { shelf } as unknown as Models); // all that parts ask for
  const id = await shelf.add("f.pth", 8);
  const made = await shelf.add("made-onnx", null);
  let asked = 0;
  const send = async (of: string, offset: number) => {
    const pull = (controller: ReadableStreamDefaultController) => {
      asked++;
      controller.enqueue(new Uint8Array(4));
      controller.close();
    };
    const body = new ReadableStream({ pull }, { highWaterMark: 0 });
    const headers = { "Content-Type": "application/octet-stream" };
    const init: RequestInit & { duplex: "half" } = { method: "POST", headers, body, duplex: "half" };
    return (await app.request(`/v1/files/${of}/parts?offset=${offset}`, init)).status;
  };
  expect(await send("nobody-000000", 0)).toBe(404);
  for (const [of, offset] of [
    [id, 4],
    [made, 0],
  ] as const)
    expect(await send(of, offset)).toBe(409);
  expect(asked).toBe(0);
  expect(await send(id, 0)).toBe(200);
  const both = await Promise.all([send(id, 4), send(id, 4)]);
  expect(both.sort()).toEqual([200, 409]);
});
