/** Training dynamics of models, side by side on the same held-out pictures. */
import { createRoute, z } from "@hono/zod-openapi";
import type { App } from "../appType.ts";
import { errorBody, toNextxError } from "../errors.ts";
import type { MeasureEvent, Measuring } from "../measuring.node.ts";
import {
  type DynamicsEvent,
  dynamicsEventSchemas,
  dynamicsSchema,
  measuredDynamicsSchema,
} from "../protocol.ts";
import { recordedDynamics, withCharts } from "../recordedDynamics.node.ts";
import type { Service } from "../service.node.ts";
import { streamEvents } from "./events.ts";
import { failures } from "./responses.ts";

/** As clients hear it, with an error as the last event. */
async function* told(measurement: AsyncIterable<MeasureEvent>): AsyncGenerator<DynamicsEvent> {
  try {
    for await (const event of measurement)
      yield event.kind === "progress" ? event : { kind: "measured", ...withCharts(event.reports) };
  } catch (error) {
    yield { kind: "failed", ...errorBody(toNextxError(error)) };
  }
}

export function addDynamics(app: App, service: Service, measuring: Measuring): void {
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/dynamics",
      summary: "The shipped measurement of SAR's base, control and refined model; null where none ships",
      responses: {
        200: {
          description: "A measurement.",
          content: { "application/json": { schema: measuredDynamicsSchema.nullable() } },
        },
      },
    }),
    async (c) => c.json((await recordedDynamics()) ?? null, 200),
  );
  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/dynamics",
      summary: "What scale-wise models know on the true past and on their own, scale by scale",
      description: "Server-sent events: progress, measured, failed. The work stops when the client hangs up.",
      request: { body: { content: { "application/json": { schema: dynamicsSchema } }, required: true } },
      responses: {
        200: {
          description: "Events until `measured` or `failed`.",
          content: { "text/event-stream": { schema: z.object(dynamicsEventSchemas).partial() } },
        },
        ...failures,
      },
    }),
    async (c) => {
      const { models: ids, count, seed } = c.req.valid("json");
      const models = await Promise.all(
        ids.map(async (id) => ({ id, name: (await service.catalogue.find(id)).name })),
      );
      measuring.requireIdle();
      const events = (signal: AbortSignal) => told(measuring.dynamics({ models, count, seed }, signal));
      return streamEvents(c, { events }) as never; // a stream of the described events
    },
  );
}
