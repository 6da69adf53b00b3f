/** Pictures for a client that waits: typed events, or an answer in the shape of OpenAI's images API. */
import { createRoute, z } from "@hono/zod-openapi";
import { NextxError } from "../../tensor/errors.ts";
import type { App } from "../appType.ts";
import type { Job } from "../job.ts";
import {
  eventSchemas,
  type GenerateRequest,
  generateSchema,
  imagesResultSchema,
  imagesSchema,
  type ServerEvent,
} from "../protocol.ts";
import type { Service } from "../service.node.ts";
import { streamEvents } from "./events.ts";
import { failures } from "./responses.ts";

const eventTexts = Object.keys(eventSchemas).join(", ");

/** The last event of a job; work stops when the client goes. @throws NextxError of a failed job, ABORTED */
async function outcome(
  service: Service,
  job: Job,
  signal: AbortSignal,
): Promise<ServerEvent & { kind: "finished" }> {
  for await (const event of job.events(signal)) {
    if (event.kind === "finished") return event;
    if (event.kind === "failed") throw new NextxError(event.error.code, event.error.message);
    if (event.kind === "cancelled") break;
  }
  await service.cancel(job);
  throw new NextxError("ABORTED", "The work was cancelled.");
}

function fromImages(service: Service, body: z.infer<typeof imagesSchema>): GenerateRequest {
  const { model, prompt, n, seed, settings, size } = body;
  const { imageSize } = service.catalogue.get(model).info;
  if (size && size !== "auto" && size !== `${imageSize}x${imageSize}`) {
    throw new NextxError("REQUEST_BAD_SIZE", `${model} makes pictures of ${imageSize}x${imageSize}.`, {
      path: "size",
    });
  }
  return generateSchema.parse({
    model,
    class: prompt,
    count: n ?? 1,
    previews: false,
    ...(seed !== undefined && { seed }),
    ...(settings && { settings }),
  });
}

export function addGenerate(app: App, service: Service): void {
  for (const path of ["/v1/generate", "/v1/images/generations"])
    app.post(path, async (_, next) => {
      service.requireRoom(); // before the body is read: a full queue refuses cheaply
      await next();
    });
  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/generate",
      summary: "Pictures, with a preview after every scale",
      description: `Server-sent events: ${eventTexts}. The work stops when the client hangs up.`,
      request: { body: { content: { "application/json": { schema: generateSchema } }, required: true } },
      responses: {
        200: {
          description: "Events until `finished`, `failed` or `cancelled`.",
          content: { "text/event-stream": { schema: z.object(eventSchemas).partial() } },
        },
        ...failures,
      },
    }),
    (c) => {
      const job = service.submit(c.req.valid("json"));
      return streamEvents(c, job, () => service.cancel(job)) as never; // a stream of the described events
    },
  );
  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/images/generations",
      summary: "Pictures in the shape of OpenAI's images API",
      request: { body: { content: { "application/json": { schema: imagesSchema } }, required: true } },
      responses: {
        200: {
          description: "Pictures.",
          content: { "application/json": { schema: imagesResultSchema } },
        },
        ...failures,
      },
    }),
    async (c) => {
      const job = service.submit(fromImages(service, c.req.valid("json")));
      const { pictures } = await outcome(service, job, c.req.raw.signal);
      const data = pictures.map((b64_json) => ({ b64_json }));
      return c.json({ created: Math.floor(Date.now() / 1000), output_format: "png" as const, data }, 200);
    },
  );
}
