/** The HTTP side: guards, limits, error bodies, and the routes with their OpenAPI description. */
import { OpenAPIHono } from "@hono/zod-openapi";
import { HTTPException } from "hono/http-exception";
import { validationError } from "../formats/validate.ts";
import { NextxError } from "../tensor/errors.ts";
import type { App } from "./appType.ts";
import type { ArenaShelf } from "./arena.node.ts";
import { bodyLimits } from "./bodyLimits.ts";
import { BusyError, errorBody, statusOf, toNextxError } from "./errors.ts";
import { type GuardOptions, guard } from "./guard.ts";
import { filePartBytes } from "./limits.ts";
import type { Measuring } from "./measuring.node.ts";
import type { Models } from "./models.node.ts";
import type { Operations } from "./operations/operations.node.ts";
import { addArena } from "./routes/arena.ts";
import { addClaims } from "./routes/claims.ts";
import { addDocs } from "./routes/docs.ts";
import { addDynamics } from "./routes/dynamics.ts";
import { addFiles } from "./routes/files.ts";
import { addGenerate } from "./routes/generate.ts";
import { addHealth } from "./routes/health.ts";
import { addJobs } from "./routes/jobs.ts";
import { addModels } from "./routes/models.ts";
import { addOperations } from "./routes/operations.ts";
import { addPageFiles } from "./routes/pageFiles.ts";
import { addRuns } from "./routes/runs.ts";
import { addStudio } from "./routes/studio.ts";
import { addSystems } from "./routes/systems.ts";
import type { RunLibrary } from "./runLibrary.node.ts";
import type { Runs } from "./runs.node.ts";
import type { Service } from "./service.node.ts";
import type { StaticFiles } from "./staticFiles.node.ts";

/** Most bytes of a request's body: a picture to edit in base64, and some. */
const maxBodyBytes = 2 * 2 ** 20;

const headers: Readonly<Record<string, string>> = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self' blob:; " +
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
};

export interface AppOptions extends GuardOptions {
  readonly version: string;
  readonly measuring: Measuring;
  readonly operations: Operations;
  readonly runs: Runs;
  readonly library: RunLibrary;
  readonly models: Models;
  readonly arena: ArenaShelf;
  /** The built studio, when there is one. */
  readonly studio: StaticFiles | undefined;
}

export function createApp(service: Service, options: AppOptions): App {
  const app: App = new OpenAPIHono({
    defaultHook: (result) => {
      if (!result.success) throw validationError(result.error.issues, "request");
    },
  });
  app.use(async (c, next) => {
    // before the answer is made: to change one that is there, hono makes it again
    for (const [name, value] of Object.entries(headers)) c.header(name, value);
    await next();
    if (c.req.method === "HEAD") await c.res.body?.cancel(); // nobody reads it: what streams has to end
  });
  app.use(guard(options));
  const limited = bodyLimits();
  const [limit, partLimit] = [limited(maxBodyBytes), limited(filePartBytes)];
  app.use((c, next) => (/^\/v1\/files\/[^/]+\/parts$/.test(c.req.path) ? partLimit : limit)(c, next));
  app.onError((error, c) => {
    const known = fromHttp(error) ?? toNextxError(error);
    const status = statusOf(known);
    const { retryAfterSeconds } = known instanceof BusyError ? known : service;
    if (status === 429 || status === 503) c.header("Retry-After", String(retryAfterSeconds));
    if (known.code === "INTERNAL") process.stderr.write(`nextx serve: ${error.stack ?? error.message}\n`);
    return c.json(errorBody(known), status as 400); // any of the statuses
  });
  app.notFound((c) => c.json(errorBody(new NextxError("NOT_FOUND", "There is nothing here.")), 404));
  addHealth(app, service);
  addModels(app, service);
  addSystems(app);
  addDynamics(app, service, options.measuring);
  addGenerate(app, service);
  addJobs(app, service);
  addRuns(app, options.runs, options.library);
  addClaims(app, options.runs);
  addArena(app, options.arena);
  addOperations(app, options.operations);
  addFiles(app, options.models);
  addPageFiles(app, service);
  addDocs(app, options.version);
  addStudio(app, options.studio);
  return app;
}

/** hono's own errors: a body that is no JSON, and the like. */
function fromHttp(error: unknown): NextxError | undefined {
  if (!(error instanceof HTTPException)) return undefined;
  if (error.status === 413) return new NextxError("BODY_TOO_LARGE", "The body is too large.");
  return new NextxError("REQUEST_BAD_BODY", "The body is not what this address takes.", {
    hint: "Send JSON with the header Content-Type: application/json.",
  });
}
