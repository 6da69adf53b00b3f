/** Training runs: which there are, how they stand, starting, stopping, going on, watching. */
import { createRoute, z } from "@hono/zod-openapi";
import type { App } from "../appType.ts";
import type { RunLibrary } from "../runLibrary.node.ts";
import {
  metricsSchema,
  operationEventSchemas,
  runDetailSchema,
  runListSchema,
  runStates,
  trainingSchema,
  trainSchema,
} from "../runProtocol.ts";
import { type Runs, trainingInfos } from "../runs.node.ts";
import { streamEvents } from "./events.ts";
import { conflict, failures, notFound } from "./responses.ts";

const params = z.object({ id: z.string().max(200) });
const stage = z.string().min(1).max(64);
const detail = { "application/json": { schema: runDetailSchema } };
const begunSchema = z.object({ id: z.string() });
const querySchema = z.object({
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
  limit: z.coerce.number().int().min(1).max(200).default(50),
  search: z.string().max(200).default(""),
  state: z.enum(runStates).optional(),
});

export function addRuns(app: App, runs: Runs, library: RunLibrary): void {
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/training",
      summary: "What can be trained: systems, recipes, values with their bounds",
      responses: {
        200: {
          description: "Systems.",
          content: { "application/json": { schema: z.object({ data: z.array(trainingSchema) }) } },
        },
      },
    }),
    (c) => c.json({ data: trainingInfos() }, 200),
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/runs",
      summary: "Runs, newest first, in parts",
      request: { query: querySchema },
      responses: {
        200: { description: "Runs.", content: { "application/json": { schema: runListSchema } } },
        400: failures[400],
      },
    }),
    async (c) => {
      const { state, ...query } = c.req.valid("query");
      return c.json(await runs.list({ ...query, state }), 200);
    },
  );
  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/runs",
      summary: "Queue a new training run; it outlives its client and the server",
      request: { body: { content: { "application/json": { schema: trainSchema } }, required: true } },
      responses: {
        202: {
          description: "Accepted and written down.",
          content: { "application/json": { schema: begunSchema } },
        },
        ...failures,
        ...conflict,
      },
    }),
    async (c) => c.json({ id: await runs.begin(c.req.valid("json")) }, 202),
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/runs/{id}",
      summary: "One run: configuration, stages, pictures",
      request: { params },
      responses: { 200: { description: "The run.", content: detail }, ...notFound },
    }),
    async (c) => c.json(await runs.read(c.req.valid("param").id), 200) as never, // config is JSON: it was read from it
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/runs/{id}/metrics",
      summary: "Rows of a stage's log, as they were logged",
      request: {
        params,
        query: z.object({ stage, after: z.coerce.number().int().min(-1).max(1e15).default(-1) }),
      },
      responses: {
        200: { description: "Rows.", content: { "application/json": { schema: metricsSchema } } },
        ...notFound,
      },
    }),
    async (c) => {
      const { stage: name, after } = c.req.valid("query");
      return c.json(await library.metrics(c.req.valid("param").id, name, after), 200) as never; // rows are JSON
    },
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/runs/{id}/samples/{stage}/{step}",
      summary: "The picture that a stage made after a step",
      request: {
        params: params.extend({ stage, step: z.coerce.number().int().min(0).max(1e15) }),
      },
      responses: {
        200: {
          description: "A picture.",
          content: { "image/png": { schema: z.string().meta({ format: "binary" }) } },
        },
        ...notFound,
      },
    }),
    async (c) => {
      const { id, stage: name, step } = c.req.valid("param");
      const bytes = await library.sample(id, name, step);
      return c.body(Uint8Array.from(bytes), 200, { "Content-Type": "image/png" }) as never; // bytes of the described kind
    },
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/runs/{id}/events",
      summary: "What happens to a run that this server trains",
      description: `Server-sent events: ${Object.keys(operationEventSchemas).join(", ")}. Closing the stream stops nothing.`,
      request: { params },
      responses: {
        200: {
          description: "Events until it is over.",
          content: { "text/event-stream": { schema: z.object(operationEventSchemas).partial() } },
        },
        204: { description: "This server does not train it." },
        ...notFound,
      },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const operation = runs.operationOf(id);
      if (operation) return streamEvents(c, operation) as never; // described above
      await library.requireThere(id);
      return c.body(null, 204);
    },
  );
  for (const [action, summary] of [
    ["stop", "Stop a run after the step in hand, with a checkpoint"],
    ["resume", "Queue a run that stopped, failed or was parked: it goes on from its last checkpoint"],
  ] as const) {
    app.openapi(
      createRoute({
        method: "post",
        path: `/v1/runs/{id}/${action}`,
        summary,
        request: { params },
        responses: { 204: { description: "Done." }, ...failures, ...conflict },
      }),
      async (c) => {
        await runs[action](c.req.valid("param").id);
        return c.body(null, 204);
      },
    );
  }
}
