/** Long work of any kind: how it stands, watching, stopping, going on, forgetting. */
import { createRoute, z } from "@hono/zod-openapi";
import type { App } from "../appType.ts";
import type { Operations } from "../operations/operations.node.ts";
import { operationEventSchemas, operationSchema } from "../runProtocol.ts";
import { streamEvents } from "./events.ts";
import { conflict, failures, notFound } from "./responses.ts";

const params = z.object({ id: z.string().max(64) });
const one = { "application/json": { schema: operationSchema } };

export function addOperations(app: App, operations: Operations): void {
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/operations",
      summary: "Long work, oldest first",
      responses: {
        200: {
          description: "Work.",
          content: { "application/json": { schema: z.object({ data: z.array(operationSchema) }) } },
        },
      },
    }),
    (c) => c.json({ data: operations.all.map(({ info }) => info) }, 200),
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/operations/{id}",
      summary: "One piece of long work",
      request: { params },
      responses: { 200: { description: "It.", content: one }, ...notFound },
    }),
    (c) => c.json(operations.get(c.req.valid("param").id).info, 200),
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/operations/{id}/events",
      summary: "What happens to it; closing the stream stops nothing",
      request: { params },
      responses: {
        200: {
          description: "Events until it is over.",
          content: { "text/event-stream": { schema: z.object(operationEventSchemas).partial() } },
        },
        ...notFound,
      },
    }),
    (c) => streamEvents(c, operations.get(c.req.valid("param").id)) as never, // a stream of the described events
  );
  for (const [action, summary] of [
    ["stop", "Stop it between steps"],
    ["resume", "Queue it again after it stopped, failed or was parked"],
  ] as const) {
    app.openapi(
      createRoute({
        method: "post",
        path: `/v1/operations/{id}/${action}`,
        summary,
        request: { params },
        responses: { 204: { description: "Done." }, ...failures, ...conflict },
      }),
      async (c) => {
        await operations[action](operations.get(c.req.valid("param").id));
        return c.body(null, 204);
      },
    );
  }
  app.openapi(
    createRoute({
      method: "delete",
      path: "/v1/operations/{id}",
      summary: "Forget work that is over; files that it made stay",
      request: { params },
      responses: { 204: { description: "Done." }, ...notFound, ...conflict },
    }),
    async (c) => {
      await operations.forget(operations.get(c.req.valid("param").id));
      return c.body(null, 204);
    },
  );
}
