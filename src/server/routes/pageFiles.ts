/** What a page needs to compute by itself: the runtime's files, and models small enough to be fetched. */
import { createReadStream, statSync } from "node:fs";
import { Readable } from "node:stream";
import { createRoute, z } from "@hono/zod-openapi";
import { NextxError } from "../../tensor/errors.ts";
import type { App } from "../appType.ts";
import { maxPageModelBytes } from "../limits.ts";
import { placeOfRuntimeFile } from "../runtimeFiles.node.ts";
import type { Service } from "../service.node.ts";
import { endWhenStalled } from "./events.ts";
import { modelFile, notFound } from "./responses.ts";

export function addPageFiles(app: App, service: Service): void {
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/models/{id}/file",
      summary: "A model's file, for pages that compute by themselves",
      request: { params: z.object({ id: z.string().max(200) }) },
      responses: {
        200: modelFile,
        ...notFound,
      },
    }),
    async (c) => {
      const { path, info } = await service.catalogue.find(c.req.valid("param").id);
      if (info.sizeBytes > maxPageModelBytes) {
        throw new NextxError("MODEL_NOT_FOUND", `${info.id} is too large for a page.`, {
          path: "model",
          hint: "Let the server compute.",
        });
      }
      endWhenStalled(c);
      const headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": String(statSync(path).size),
        "Cache-Control": "no-cache",
      };
      return c.body(bytesOf(path), 200, headers) as never; // bytes
    },
  );
  app.get("/runtime/:file", async (c, next) => {
    const file = placeOfRuntimeFile(c.req.param("file"));
    if (file === undefined) return next();
    endWhenStalled(c);
    const { path, type } = file;
    const headers = { "Content-Type": type, "Content-Length": String(statSync(path).size) };
    return c.body(bytesOf(path), 200, { ...headers, "Cache-Control": "no-cache" });
  });
}

/** Read as the client takes it: a slow one holds little memory. */
const bytesOf = (path: string): ReadableStream => Readable.toWeb(createReadStream(path)) as ReadableStream;
