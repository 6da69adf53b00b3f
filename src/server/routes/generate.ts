/** Pictures for a client that waits: typed events, or an answer in the shape of OpenAI's images API. */
import { randomInt } from "node:crypto";
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
import { endWhenStalled, streamEvents } from "./events.ts";
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
    if (event.kind === "failed") {
      const { code, message, param, hint } = event.error;
      throw new NextxError(code, message, { ...(param && { path: param }), ...(hint && { hint }) });
    }
    if (event.kind === "cancelled") break;
  }
  await service.cancel(job);
  throw new NextxError("ABORTED", "The work was cancelled.");
}

/** What our fields are called there. */
const namesThere: Readonly<Record<string, string>> = { class: "prompt", count: "n" };

/** Says in the client's words where an error lies. */
function inTheirWords<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const name = error instanceof NextxError ? namesThere[error.path ?? ""] : undefined;
    if (!(error instanceof NextxError) || name === undefined) throw error;
    const { code, message, hint } = error;
    throw new NextxError(code, message, { path: name, ...(hint !== undefined && { hint }) });
  }
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
    seed: seed ?? randomInt(2 ** 32),
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
    async (c) => {
      const request = c.req.valid("json");
      await service.catalogue.look(request.model);
      const job = service.submit(request);
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
      const body = c.req.valid("json");
      await service.catalogue.look(body.model);
      const request = fromImages(service, body);
      const job = inTheirWords(() => service.submit(request));
      const { pictures } = await outcome(service, job, c.req.raw.signal);
      const data = pictures.map((b64_json) => ({ b64_json }));
      endWhenStalled(c);
      const created = Math.floor(Date.now() / 1000);
      return c.json({ created, output_format: "png" as const, seed: request.seed, data }, 200);
    },
  );
}
