/** Which models there are, what they draw, and what a picture says it was made with. */
import { readFile } from "node:fs/promises";
import { createRoute, z } from "@hono/zod-openapi";
import { readPictureRecipe } from "../../picture.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { App } from "../appType.ts";
import { samplesBeside } from "../catalogue.node.ts";
import { modelSchema } from "../protocol.ts";
import type { Service } from "../service.node.ts";
import { contactSheet, failures, notFound } from "./responses.ts";

const listSchema = z.object({ object: z.literal("list"), data: z.array(modelSchema) });
const recipeSchema = z.object({
  recipe: z.record(z.string(), z.unknown()),
  model: z.string().nullable().describe("Id of the model that made it, when it is here."),
});

export function addModels(app: App, service: Service): void {
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/models",
      summary: "All models, with their classes and settings",
      responses: { 200: { description: "Models.", content: { "application/json": { schema: listSchema } } } },
    }),
    async (c) =>
      c.json(
        { object: "list" as const, data: (await service.catalogue.list()).map(({ info }) => info) },
        200,
      ),
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/models/{id}",
      summary: "One model",
      request: { params: z.object({ id: z.string().max(200) }) },
      responses: {
        200: { description: "The model.", content: { "application/json": { schema: modelSchema } } },
        ...notFound,
      },
    }),
    async (c) => c.json((await service.catalogue.find(c.req.valid("param").id)).info, 200),
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/models/{id}/samples",
      summary: "Pictures that a shipped model made",
      request: { params: z.object({ id: z.string().max(200) }) },
      responses: {
        200: contactSheet,
        ...notFound,
      },
    }),
    async (c) => {
      const { info, path } = await service.catalogue.find(c.req.valid("param").id);
      if (!info.hasSamples)
        throw new NextxError("MODEL_NO_SAMPLES", `${info.id} came without pictures.`, { path: "id" });
      const bytes = Uint8Array.from(await readFile(samplesBeside(path)));
      return c.body(bytes, 200, { "Content-Type": "image/png", "Cache-Control": "no-cache" }) as never; // bytes
    },
  );
  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/recipes",
      summary: "The recipe inside a PNG",
      request: {
        body: { content: { "image/png": { schema: z.string().meta({ format: "binary" }) } }, required: true },
      },
      responses: {
        200: { description: "The recipe.", content: { "application/json": { schema: recipeSchema } } },
        400: failures[400],
      },
    }),
    async (c) => {
      const recipe = readPictureRecipe(new Uint8Array(await c.req.arrayBuffer()), "The picture");
      const model = service.catalogue.bySha256(recipe.sha256)?.info.id ?? null;
      return c.json({ recipe, model }, 200) as never; // JSON: that is what it was read from
    },
  );
}
