/** Health and metrics; answered by the process that never computes. */
import { createRoute, z } from "@hono/zod-openapi";
import type { App } from "../appType.ts";
import type { Service } from "../service.node.ts";

const readySchema = z.object({ ready: z.boolean(), reason: z.string().optional() });
const ready = { "application/json": { schema: readySchema } };

export function addHealth(app: App, service: Service): void {
  app.openapi(
    createRoute({
      method: "get",
      path: "/livez",
      summary: "Whether the server runs",
      responses: { 200: { description: "It does.", content: { "text/plain": { schema: z.literal("ok") } } } },
    }),
    (c) => c.text("ok"),
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/readyz",
      summary: "Whether work would be taken",
      responses: {
        200: { description: "It would.", content: ready },
        503: { description: "Queue full, stopping, or device lost.", content: ready },
      },
    }),
    (c) => {
      const reason = service.unready;
      return reason === undefined ? c.json({ ready: true }, 200) : c.json({ ready: false, reason }, 503);
    },
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/metrics",
      summary: "Prometheus metrics",
      responses: { 200: { description: "Metrics.", content: { "text/plain": { schema: z.string() } } } },
    }),
    async (c) =>
      c.text(await service.metrics.registry.metrics(), 200, {
        "Content-Type": service.metrics.registry.contentType,
      }),
  );
}
