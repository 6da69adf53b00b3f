/** Statuses of answers, and that the description tells them. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OpenAPIHono } from "@hono/zod-openapi";
import { expect, it } from "vitest";
import { statusOf, toNextxError } from "../errors.ts";
import type { Models } from "../models.node.ts";
import { RunLibrary } from "../runLibrary.node.ts";
import type { Runs } from "../runs.node.ts";
import type { Service } from "../service.node.ts";
import { addFiles } from "./files.ts";
import { addJobs } from "./jobs.ts";
import { addRuns } from "./runs.ts";

function createApp(): OpenAPIHono {
  const app = new OpenAPIHono();
  app.onError((error, c) => c.json({}, statusOf(toNextxError(error)) as 400)); // any of the statuses
  // all that the description and the routes below ask for
  addFiles(app, { shelf: undefined } as unknown as Models);
  addJobs(app, { store: undefined } as unknown as Service);
  const library = new RunLibrary(join(tmpdir(), "nextx-no-such-folder"));
  addRuns(app, { operationOf: () => undefined } as unknown as Runs, library);
  return app;
}

it.each([
  ["/v1/jobs", "post", 409],
  ["/v1/jobs/{id}/retry", "post", 409],
  ["/v1/files/{id}/inspection", "get", 429],
] as const)("the description of %s tells that %s may answer %d", (path, method, status) => {
  const { paths } = createApp().getOpenAPIDocument({ openapi: "3.0.0", info: { title: "t", version: "1" } });
  expect(Object.keys(paths[path]?.[method]?.responses ?? {})).toContain(String(status));
});

it("there are no events of a run that nobody knows", async () => {
  expect((await createApp().request("/v1/runs/nobody/events")).status).toBe(404);
});
