/** The catalogue of systems. */
import { createRoute, z } from "@hono/zod-openapi";
import type { App } from "../appType.ts";
import { systemSchema } from "../protocol.ts";
import { listSystems } from "../systems.node.ts";

const listSchema = z.object({ object: z.literal("list"), data: z.array(systemSchema) });

export function addSystems(app: App): void {
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/systems",
      summary: "The field's systems: facts, which of them run here, what was measured, plans and masks",
      responses: {
        200: { description: "Systems.", content: { "application/json": { schema: listSchema } } },
      },
    }),
    async (c) => c.json({ object: "list" as const, data: await listSystems() }, 200),
  );
}
