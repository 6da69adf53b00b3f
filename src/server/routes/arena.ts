/** The arena: systems of one kind under one budget. */
import { createRoute, z } from "@hono/zod-openapi";
import type { App } from "../appType.ts";
import type { ArenaShelf } from "../arena.node.ts";
import { arenaSchema } from "../arenaProtocol.ts";
import { endWhenStalled } from "./events.ts";
import { contactSheet, modelFile, notFound } from "./responses.ts";

const contestant = z.object({ name: z.string().max(64) });

export function addArena(app: App, shelf: ArenaShelf): void {
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/arena",
      summary: "Systems of one kind trained and measured under one budget; null where none was run",
      responses: {
        200: { description: "Contests.", content: { "application/json": { schema: arenaSchema } } },
      },
    }),
    async (c) => c.json(await shelf.read(), 200),
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/arena/pictures/{name}",
      summary: "Samples of a contestant of the image arena",
      request: { params: contestant },
      responses: { 200: contactSheet, ...notFound },
    }),
    async (c) => {
      const bytes = Uint8Array.from(await shelf.pictures(c.req.valid("param").name));
      endWhenStalled(c);
      return c.body(bytes, 200, { "Content-Type": "image/png", "Cache-Control": "no-cache" }) as never; // bytes
    },
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/arena/models/{name}",
      summary: "The model that a contestant of the image arena trained, with its tokenizer",
      request: { params: contestant },
      responses: { 200: modelFile, ...notFound },
    }),
    async (c) => {
      const { name } = c.req.valid("param");
      const bytes = Uint8Array.from(await shelf.model(name));
      endWhenStalled(c);
      const headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": `attachment; filename="arena-${name}.safetensors"`,
      };
      return c.body(bytes, 200, headers) as never; // bytes
    },
  );
}
