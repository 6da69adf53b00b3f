/** Claims as work of the server: which there are, which arms have run, running what is missing. */
import { createRoute, z } from "@hono/zod-openapi";
import type { App } from "../appType.ts";
import { claimDetailSchema, claimInfoSchema, claimRequestSchema, operationSchema } from "../runProtocol.ts";
import type { Runs } from "../runs.node.ts";
import { conflict, failures, notFound } from "./responses.ts";

const params = z.object({ system: z.string().max(64) });

export function addClaims(app: App, runs: Runs): void {
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/claims",
      summary: "Systems whose claims can be measured, and the verdicts so far",
      responses: {
        200: {
          description: "Claims.",
          content: { "application/json": { schema: z.object({ data: z.array(claimInfoSchema) }) } },
        },
      },
    }),
    async (c) => c.json({ data: await runs.claims() }, 200),
  );
  app.openapi(
    createRoute({
      method: "get",
      path: "/v1/claims/{system}",
      summary: "A claim with its arms",
      request: { params },
      responses: {
        200: { description: "The claim.", content: { "application/json": { schema: claimDetailSchema } } },
        ...notFound,
      },
    }),
    async (c) => c.json(await runs.claim(c.req.valid("param").system), 200),
  );
  app.openapi(
    createRoute({
      method: "post",
      path: "/v1/claims/{system}",
      summary: "Queue the arms that have not run",
      request: {
        params,
        body: { content: { "application/json": { schema: claimRequestSchema } }, required: true },
      },
      responses: {
        202: { description: "Accepted.", content: { "application/json": { schema: operationSchema } } },
        ...failures,
        ...conflict,
      },
    }),
    async (c) => {
      const { arms } = c.req.valid("json");
      return c.json((await runs.beginClaim(c.req.valid("param").system, arms)).info, 202);
    },
  );
}
