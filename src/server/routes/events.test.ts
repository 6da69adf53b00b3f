/** Clients that do not read: every answer that may be large ends when nothing of it is taken. */
import { Readable } from "node:stream";
import { OpenAPIHono } from "@hono/zod-openapi";
import { expect, it, vi } from "vitest";
import type { ArenaShelf } from "../arena.node.ts";
import type { Measuring } from "../measuring.node.ts";
import type { Models } from "../models.node.ts";
import type { Service } from "../service.node.ts";
import { addArena } from "./arena.ts";
import { addDynamics } from "./dynamics.ts";
import { addFiles } from "./files.ts";
import { addGenerate } from "./generate.ts";
import { addJobs } from "./jobs.ts";

/** Longer than clients are left without a word. */
const longMs = 20_000;

const bytes = async () => new Uint8Array(3);
async function* finished() {
  yield { kind: "finished", pictures: ["AAAA"] };
}
async function* progress() {
  yield { kind: "progress", text: "reads" };
  await new Promise((resolve) => setTimeout(resolve, longMs));
  throw new Error("as the test says");
}
const measuring = { requireIdle: () => undefined, dynamics: progress };
const entry = { name: "m", info: { id: "m", imageSize: 32 } };
const catalogue = { find: async () => entry, get: () => entry, look: async () => undefined };
const service = {
  ...{ catalogue, store: { picture: bytes } },
  requireRoom: () => undefined,
  submit: () => ({ events: finished }),
};
const shelf = { open: async () => ({ stream: Readable.from([Buffer.from("abc")]), sizeBytes: 3 }) };

function createApp(): OpenAPIHono {
  const app = new OpenAPIHono();
  // all that the routes below ask for
  addArena(app, { pictures: bytes, model: bytes } as unknown as ArenaShelf);
  addDynamics(app, service as unknown as Service, measuring as unknown as Measuring);
  addFiles(app, { shelf } as unknown as Models);
  addGenerate(app, service as unknown as Service);
  addJobs(app, service as unknown as Service);
  return app;
}

const post = (body: unknown): RequestInit => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

it.each([
  ["/v1/files/f-000000/content/f.pth", {}],
  ["/v1/jobs/j/grid.png", {}],
  ["/v1/jobs/j/pictures/0", {}],
  ["/v1/arena/pictures/var", {}],
  ["/v1/arena/models/var", {}],
  ["/v1/images/generations", post({ model: "m", prompt: "0" })],
  ["/v1/dynamics", post({ models: ["m"] })],
])("%s", async (path, init) => {
  const outgoing = { setTimeout: vi.fn(), destroy: vi.fn() };
  const response = await createApp().request(path, init, { outgoing });
  expect(response.status).toBe(200);
  await response.body?.cancel();
  expect(outgoing.setTimeout).toHaveBeenCalledOnce();
  outgoing.setTimeout.mock.calls[0]?.[1]();
  expect(outgoing.destroy).toHaveBeenCalled();
});

it("a measurement that takes long says that it is still there, then how it failed", async () => {
  vi.useFakeTimers();
  const response = await createApp().request("/v1/dynamics", post({ models: ["m"] }));
  const text = response.text();
  await vi.advanceTimersByTimeAsync(longMs);
  vi.useRealTimers();
  expect(await text).toMatch(/^event: progress\ndata: {"text":"reads"}\n\n: still here\n\nevent: failed\n/);
});
