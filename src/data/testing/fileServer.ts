/** A local HTTP server of one file for tests: ranges, ETags, and faults on demand. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What was asked for. */
export interface Asked {
  readonly url: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
}

/** A running server; `content` and `etag` may change between requests. */
export interface FileServer extends AsyncDisposable {
  readonly url: string;
  readonly asked: Asked[];
  content: Uint8Array;
  etag: string | undefined;
  /** Answers request number `i` (from 0) itself; false: the file is served as usual. */
  fault: (i: number, response: ServerResponse, request: IncomingMessage) => boolean;
  /** Serves ranges. */
  ranges: boolean;
}

function serve(server: FileServer, request: IncomingMessage, response: ServerResponse): void {
  const { content, etag } = server;
  const first = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const ifRange = request.headers["if-range"];
  const isSame = ifRange === undefined || ifRange === etag;
  if (etag !== undefined) response.setHeader("etag", etag);
  if (!server.ranges || first === 0 || !isSame) {
    response.setHeader("content-length", content.length);
    response.end(content);
  } else if (first >= content.length) {
    response.writeHead(416).end();
  } else {
    response.statusCode = 206;
    response.setHeader("content-range", `bytes ${first}-${content.length - 1}/${content.length}`);
    response.setHeader("content-length", content.length - first);
    response.end(content.subarray(first));
  }
}

/** Starts a server on a free local port. */
export async function startFileServer(content: Uint8Array): Promise<FileServer> {
  const http = createServer((request, response) => {
    const { range } = request.headers;
    const ifRange = request.headers["if-range"] as string | undefined; // never a list
    server.asked.push({ url: request.url ?? "", range, ifRange });
    if (!server.fault(server.asked.length - 1, response, request)) serve(server, request, response);
  });
  await new Promise<void>((done) => http.listen(0, "127.0.0.1", done));
  const { port } = http.address() as AddressInfo; // listens on TCP
  const server: FileServer = {
    url: `http://127.0.0.1:${port}/file.bin`,
    asked: [],
    content,
    etag: '"1"',
    fault: () => false,
    ranges: true,
    [Symbol.asyncDispose]: async () => {
      http.closeAllConnections();
      await new Promise((done) => http.close(done));
    },
  };
  return server;
}

/** Sends `count` bytes of a longer answer, then breaks the connection. */
export function cutAfter(response: ServerResponse, content: Uint8Array, count: number, etag?: string): void {
  if (etag !== undefined) response.setHeader("etag", etag);
  response.setHeader("content-length", content.length);
  response.write(content.subarray(0, count), () => setTimeout(() => response.destroy(), 30));
}
