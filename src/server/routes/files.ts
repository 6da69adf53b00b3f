/** Files and models: bringing a checkpoint in parts, looking at it, converting, quantising, exporting, downloading. */
import { Readable } from "node:stream";
import { createRoute, z } from "@hono/zod-openapi";
import type { App } from "../appType.ts";
import {
  announceSchema,
  cardSchema,
  convertSchema,
  exportSchema,
  fileNameSchema,
  fileSchema,
  inspectionSchema,
  maxFileBytes,
  quantizeSchema,
} from "../modelProtocol.ts";
import type { Models } from "../models.node.ts";
import { operationSchema } from "../runProtocol.ts";
import { endWhenStalled } from "./events.ts";
import { conflict, failures, notFound } from "./responses.ts";

const params = z.object({ id: z.string().max(64) });
const binary = z.string().meta({ format: "binary" });
const body = <S extends z.ZodType>(schema: S) => ({
  body: { content: { "application/json": { schema } }, required: true },
});
const json = <S extends z.ZodType>(description: string, schema: S) => ({
  description,
  content: { "application/json": { schema } },
});

export function addFiles(app: App, models: Models): void {
  const { shelf } = models;
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/files",
      summary: "Files that were brought or made here, newest first",
      responses: { 200: json("Files.", z.object({ data: z.array(fileSchema) })) },
    }),
    async (c) => c.json({ data: await shelf.list() }, 200),
  );
  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/files",
      summary: "Announce a checkpoint; its bytes follow in parts",
      request: body(announceSchema),
      responses: { 201: json("A place for it.", fileSchema), 400: failures[400], ...conflict },
    }),
    async (c) => {
      const { name, sizeBytes } = c.req.valid("json");
      return c.json(await shelf.read(await shelf.add(name, sizeBytes)), 201);
    },
  );
  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/files/{id}/parts",
      summary: "The next bytes of a file",
      request: {
        params,
        query: z.object({ offset: z.coerce.number().int().min(0).max(maxFileBytes) }),
        body: { content: { "application/octet-stream": { schema: binary } }, required: true },
      },
      responses: {
        200: json("Bytes that are there.", z.object({ received: z.int() })),
        400: failures[400],
        ...notFound,
        ...conflict,
        429: failures[429],
      },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const { offset } = c.req.valid("query");
      await shelf.requireNext(id, offset);
      const received = await shelf.append(id, offset, new Uint8Array(await c.req.arrayBuffer()));
      return c.json({ received }, 200);
    },
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/files/{id}/inspection",
      summary: "What a file is and holds; nothing in it is run",
      request: { params, query: z.object({ key: z.string().min(1).max(200).optional() }) },
      responses: {
        200: json("What it is.", inspectionSchema),
        400: failures[400],
        ...notFound,
        ...conflict,
        429: failures[429],
      },
    }),
    async (c) =>
      c.json(await models.inspect(c.req.valid("param").id, c.req.valid("query").key), 200) as never, // JSON
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/files/{id}/content/{part}",
      summary: "The bytes of a file, or of one in a folder",
      request: { params: params.extend({ part: fileNameSchema }) },
      responses: {
        200: { description: "Bytes.", content: { "application/octet-stream": { schema: binary } } },
        ...notFound,
      },
    }),
    async (c) => {
      const { id, part } = c.req.valid("param");
      const { stream, sizeBytes } = await shelf.open(id, part);
      endWhenStalled(c);
      const headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": String(sizeBytes),
        "Content-Disposition": `attachment; filename="${part}"`,
      };
      return c.body(Readable.toWeb(stream) as ReadableStream, 200, headers) as never; // bytes of the described kind
    },
  );
  app.openapi(
    createRoute({
      method: "delete",
      path: "/v1/files/{id}",
      summary: "Remove a file",
      request: { params },
      responses: { 204: { description: "Gone." }, ...notFound, ...conflict },
    }),
    async (c) => {
      await models.remove(c.req.valid("param").id);
      return c.body(null, 204);
    },
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/models/{id}/card",
      summary: "A model's card: recipe, data, curves, metrics, licence",
      request: { params: z.object({ id: z.string().max(200) }) },
      responses: { 200: json("The card.", cardSchema), ...notFound },
    }),
    async (c) => c.json({ card: await models.card(c.req.valid("param").id) }, 200),
  );
  const accepted = { 202: json("Accepted.", operationSchema), ...failures, ...conflict };
  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/conversions",
      summary: "Published checkpoints as one model file, with the fate of every tensor",
      request: body(convertSchema),
      responses: accepted,
    }),
    async (c) => c.json((await models.convert(c.req.valid("json"))).info, 202),
  );
  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/quantizations",
      summary: "A model in fewer bits, with the error of every layer",
      request: body(quantizeSchema),
      responses: accepted,
    }),
    async (c) => c.json((await models.quantize(c.req.valid("json"))).info, 202),
  );
  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/exports",
      summary: "A model's loop as ONNX graphs, weights and a manifest, for any runtime",
      request: body(exportSchema),
      responses: accepted,
    }),
    async (c) => c.json((await models.export(c.req.valid("json"))).info, 202),
  );
}
