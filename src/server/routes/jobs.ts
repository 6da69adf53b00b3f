/** Pictures for a client that comes back later. */
import { createRoute, z } from "@hono/zod-openapi";
import type { App } from "../appType.ts";
import { maxPictures } from "../limits.ts";
import { generateSchema, jobSchema, listedJobSchema } from "../protocol.ts";
import type { Service } from "../service.node.ts";
import { endWhenStalled, streamEvents } from "./events.ts";
import { conflict, failures, notFound } from "./responses.ts";

const params = z.object({ id: z.string().max(64) });
const job = { "application/json": { schema: jobSchema } };
const png = {
  description: "A picture.",
  content: { "image/png": { schema: z.string().meta({ format: "binary" }) } },
};
const pngHeaders = { "Content-Type": "image/png" };
const query = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(100),
  before: z.string().max(64).optional().describe("Id of a job: those that were accepted before it."),
});
const headers = z.object({ "idempotency-key": z.string().min(1).max(200).optional() });

export function addJobs(app: App, service: Service): void {
  const { store } = service;
  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/jobs",
      summary: "Queue pictures; the job outlives its client and the server",
      request: {
        headers,
        body: { content: { "application/json": { schema: generateSchema } }, required: true },
      },
      responses: {
        202: { description: "Accepted and written down.", content: job },
        ...failures,
        ...conflict,
      },
    }),
    async (c) => {
      const key = c.req.valid("header")["idempotency-key"];
      await service.catalogue.look(c.req.valid("json").model);
      return c.json(await service.enqueue(c.req.valid("json"), key), 202);
    },
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/jobs",
      summary: "The newest jobs, oldest first, without pictures to edit; earlier ones with `before`",
      request: { query },
      responses: {
        200: {
          description: "Jobs.",
          content: { "application/json": { schema: z.object({ data: z.array(listedJobSchema) }) } },
        },
        400: failures[400],
      },
    }),
    async (c) => {
      const { limit, before } = c.req.valid("query");
      return c.json({ data: await service.list(limit, before) }, 200);
    },
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/jobs/{id}",
      summary: "One job",
      request: { params },
      responses: { 200: { description: "The job.", content: job }, ...notFound },
    }),
    async (c) => c.json(await service.read(c.req.valid("param").id), 200),
  );
  app.openapi(
    createRoute({
      method: "delete",
      path: "/v1/jobs/{id}",
      summary: "Cancel a job, or forget one that is over",
      request: { params },
      responses: { 204: { description: "Done." }, ...notFound },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      await service.remove(id);
      return c.body(null, 204);
    },
  );
  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/jobs/{id}/retry",
      summary: "Queue a parked, failed or cancelled job again",
      request: { params },
      responses: { 202: { description: "Queued.", content: job }, ...failures, ...conflict },
    }),
    async (c) => c.json(await service.retry(c.req.valid("param").id), 202),
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/jobs/{id}/events",
      summary: "A running job's events from the first on, as /v1/generate sends them",
      request: { params },
      responses: {
        200: { description: "Events.", content: { "text/event-stream": { schema: z.string() } } },
        204: { description: "The job is over." },
        ...notFound,
      },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      await service.read(id);
      const active = service.active(id);
      return active ? (streamEvents(c, active) as never) : c.body(null, 204); // described above
    },
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/jobs/{id}/grid.png",
      summary: "All pictures of a finished job as one",
      request: { params },
      responses: { 200: png, ...notFound },
    }),
    async (c) => {
      const bytes = await store.picture(c.req.valid("param").id);
      endWhenStalled(c);
      return c.body(Uint8Array.from(bytes), 200, pngHeaders) as never; // bytes of the described kind
    },
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/jobs/{id}/pictures/{index}",
      summary: "One picture of a finished job",
      request: {
        params: params.extend({
          index: z.coerce
            .number()
            .int()
            .min(0)
            .max(maxPictures - 1),
        }),
      },
      responses: { 200: png, ...notFound },
    }),
    async (c) => {
      const { id, index } = c.req.valid("param");
      const bytes = await store.picture(id, index);
      endWhenStalled(c);
      return c.body(Uint8Array.from(bytes), 200, pngHeaders) as never; // bytes of the described kind
    },
  );
}
