/** Bodies on real connections: refused when too many are on their way, and forgotten when their clients leave. */
import { type ClientRequest, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";
import { afterEach, expect, it } from "vitest";
import { bodyLimits } from "./bodyLimits.ts";
import { BusyError, statusOf, toNextxError } from "./errors.ts";

const megabyte = 2 ** 20;
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function setup() {
  const app = new Hono();
  const limited = bodyLimits();
  app.use("/large", limited(8 * megabyte));
  app.use("/small", limited(megabyte));
  app.onError((error, c) => {
    if (error instanceof BusyError) c.header("Retry-After", String(error.retryAfterSeconds));
    return c.text("", statusOf(toNextxError(error)) as 400); // any of the statuses
  });
  let reading = 0;
  app.all("/:route", async (c) => {
    reading++;
    const { byteLength } = await c.req.arrayBuffer().finally(() => reading--);
    return c.text(String(byteLength));
  });
  const server = createAdaptorServer({ fetch: app.fetch }) as Server; // no TLS, no HTTP/2
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(
    () => server.closeAllConnections(),
    () => server.close(),
  );
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // it listens on a port
  return { url, reading: () => reading };
}

/** Says that a body comes, and sends its start. */
function begin(url: string, headers: Record<string, string | number>): ClientRequest {
  const asked = request(url, { method: "POST", headers, agent: false });
  asked.on("error", () => undefined); // it is destroyed
  asked.write("start");
  closing.push(() => asked.destroy());
  return asked;
}

const send = (url: string, bytes: number) => fetch(url, { method: "POST", body: new Uint8Array(bytes) });

it.each([
  ["of declared length", { "content-length": 8 * megabyte }],
  ["of unknown length", { "transfer-encoding": "chunked" }],
])("bodies %s", async (_, headers) => {
  const { url, reading } = await setup();
  const coming = Array.from({ length: 8 }, () => begin(`${url}/large`, headers));
  if ("content-length" in headers) await expect.poll(reading).toBe(8);
  await expect.poll(async () => (await send(`${url}/small`, 10)).status).toBe(429);
  expect((await send(`${url}/small`, 10)).headers.get("retry-after")).toBe("1");
  expect((await fetch(`${url}/small`)).status).toBe(200); // without a body
  expect((await send(`${url}/small`, megabyte + 1)).status).toBe(413);
  coming.pop()?.destroy();
  await expect.poll(async () => (await send(`${url}/large`, 8 * megabyte)).status).toBe(200);
  for (const one of coming) one.destroy();
  const eight = () => Promise.all(Array.from({ length: 8 }, () => send(`${url}/large`, 8 * megabyte)));
  await expect.poll(async () => (await eight()).every(({ status }) => status === 200)).toBe(true);
});
