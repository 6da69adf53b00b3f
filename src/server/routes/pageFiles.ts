/** What a page needs to compute by itself: the runtime's files, and models small enough to be fetched. */
import { readFile } from "node:fs/promises";
import { createRoute, z } from "@hono/zod-openapi";
import { NextxError } from "../../tensor/errors.ts";
import type { App } from "../appType.ts";
import { maxPageModelBytes } from "../limits.ts";
import { readRuntimeFile } from "../runtimeFiles.node.ts";
import type { Service } from "../service.node.ts";
import { notFound } from "./responses.ts";

export function addPageFiles(app: App, service: Service): void {
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/models/{id}/file",
      summary: "A model's file, for pages that compute by themselves",
      request: { params: z.object({ id: z.string().max(200) }) },
      responses: {
        200: {
          description: "The safetensors file.",
          content: { "application/octet-stream": { schema: z.string().meta({ format: "binary" }) } },
        },
        ...notFound,
      },
    }),
    async (c) => {
      const { path, info } = service.catalogue.get(c.req.valid("param").id);
      if (info.sizeBytes > maxPageModelBytes) {
        throw new NextxError("MODEL_NOT_FOUND", `${info.id} is too large for a page.`, {
          path: "model",
          hint: "Let the server compute.",
        });
      }
      const headers = { "Content-Type": "application/octet-stream", "Cache-Control": "no-cache" };
      return c.body(Uint8Array.from(await readFile(path)), 200, headers) as never; // bytes
    },
  );
  app.get("/runtime/:file", async (c, next) => {
    const file = await readRuntimeFile(c.req.param("file"));
    if (file === undefined) return next();
    return c.body(file.bytes, 200, { "Content-Type": file.type, "Cache-Control": "no-cache" });
  });
}
