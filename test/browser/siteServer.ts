/** A static host for tests: a folder below a path, with media types and nothing else. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { typeOf } from "../../src/server/staticFiles.node.ts";

export interface SiteServer extends AsyncDisposable {
  readonly url: string;
}

export async function serveSite(folder: string, prefix: string): Promise<SiteServer> {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://site");
    const path = pathname.slice(prefix.length) || "index.html";
    try {
      if (!pathname.startsWith(prefix) || path.includes("..")) throw new Error("outside");
      const bytes = await readFile(join(folder, path));
      response.setHeader("Content-Type", typeOf(path));
      response.end(bytes);
    } catch {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // a TCP server
  return {
    url: `http://127.0.0.1:${port}${prefix}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
