/** The built studio with a server that answers as a test says: no model, no disk, and it can go away at any moment. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { encodePng } from "../../src/formats/png.ts";
import type { ArenaResult } from "../../src/server/arenaProtocol.ts";
import type { FileInfo } from "../../src/server/modelProtocol.ts";
import type { GenerateInput, ModelInfo } from "../../src/server/protocol.ts";
import type { ClaimDetail, OperationInfo, RunDetail, TrainingInfo } from "../../src/server/runProtocol.ts";
import { readStaticFiles } from "../../src/server/staticFiles.node.ts";
import { repository } from "./pageServer.ts";

const size = 32;
const png = (height: number): string => {
  const pixels = Uint8Array.from({ length: size * height * 3 }, (_, i) => (i * 7) % 256);
  return Buffer.from(encodePng({ width: size, height, pixels })).toString("base64");
};

export const fakeModel = (id: string, changes: Partial<ModelInfo> = {}): ModelInfo => ({
  ...{ id, object: "model", created: 0, owned_by: "nextx", title: id, system: "sar", systemTitle: "SAR" },
  ...{ sha256: "a".repeat(64), sizeBytes: 4e6, imageSize: size, classNames: ["circle", "square", "star"] },
  ...{ licence: null, data: "synth", scaleWise: true, hasSamples: false },
  defaults: { cfgScale: 1.5, cfgInterval: -1 },
  settings: {
    type: "object",
    properties: {
      cfgScale: { type: "number", minimum: 0, maximum: 100 },
      cfgInterval: { type: "integer", minimum: -1, maximum: 1000, description: "Where guidance ends." },
    },
  },
  ...changes,
});

/** What the server has, and what it was asked. */
export class FakeServer implements AsyncDisposable {
  token = "";
  arena: ArenaResult = { image: null, series: null };
  models: readonly ModelInfo[] = [fakeModel("m-a"), fakeModel("m-b")];
  files: readonly FileInfo[] = [];
  operations: readonly OperationInfo[] = [];
  runs: readonly RunDetail[] = [];
  training: readonly TrainingInfo[] = [];
  claims: readonly ClaimDetail[] = [];
  /** Milliseconds between two scales. */
  scaleMs = 20;
  /** Whether a stream of pictures ends after its first scale. */
  endsEarly = false;
  /** Whether there are no events of work to listen to. */
  isSilent = false;
  readonly generated: GenerateInput[] = [];
  /** Runs and claims, as they were asked for. */
  readonly begun: unknown[] = [];
  /** Larger parts of files break the connection. */
  mostPartBytes = Number.POSITIVE_INFINITY;
  /** Offsets of parts of files. */
  readonly parts: number[] = [];
  readonly removed: string[] = [];
  /** The file into which a look takes for ever, and whether one goes on. */
  slowFile = "";
  isLooking = false;
  /** After which steps rows were asked for. */
  readonly rowsAfter: number[] = [];
  /** Requests by path. */
  readonly counts = new Map<string, number>();
  /** Streams of events that are open. */
  open = 0;
  url = "";
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch(() => response.destroy()); // whoever asked has gone
  });
  #studio = new Map() as unknown as NonNullable<ReturnType<typeof readStaticFiles>>;

  static async start(): Promise<FakeServer> {
    const fake = new FakeServer();
    const { ensureStudio } = await import(pathToFileURL(join(repository, "scripts/build.js")).href);
    await ensureStudio(() => undefined);
    fake.#studio = readStaticFiles(join(repository, "dist/studio")) ?? fake.#studio;
    await new Promise<void>((resolve) => fake.#server.listen(0, "127.0.0.1", resolve));
    fake.url = `http://127.0.0.1:${(fake.#server.address() as AddressInfo).port}/`; // a TCP server
    return fake;
  }

  /** As a crash does: what is open breaks. */
  dropConnections(): void {
    this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://fake");
    this.counts.set(pathname, (this.counts.get(pathname) ?? 0) + 1);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (!pathname.startsWith("/v1/")) return this.#file(pathname, response);
    const isAllowed = this.token === "" || request.headers.authorization === `Bearer ${this.token}`;
    if (!isAllowed) return fail(response, 401, "AUTH_TOKEN_NEEDED", "A token is needed.");
    if (pathname === "/v1/generate")
      return await this.#generate(JSON.parse(body.toString()) as GenerateInput, response);
    if (pathname.endsWith("/events")) return this.#listen(response);
    if (pathname.endsWith("/parts")) {
      if (body.length > this.mostPartBytes) return void response.destroy();
      this.parts.push(Number(searchParams.get("offset")));
      if (this.parts.length > 1) await new Promise((resolve) => setTimeout(resolve, 1000));
      return json(response, { received: 0 });
    }
    if (request.method === "DELETE") {
      this.removed.push(pathname);
      return json(response, {});
    }
    if (pathname === `/v1/files/${this.slowFile}/inspection`) return this.#look(response);
    if (/\/samples\/|\/pictures\//.test(pathname)) {
      response.writeHead(200, { "Content-Type": "image/png" });
      response.end(Buffer.from(png(size), "base64"));
      return;
    }
    if (pathname.endsWith("/metrics")) this.rowsAfter.push(Number(searchParams.get("after")));
    const found = this.#data(request.method ?? "", pathname, body);
    if (found === undefined) fail(response, 404, "NOT_FOUND", "There is no such thing.");
    else json(response, found);
  }

  #data(method: string, path: string, body: Buffer): unknown {
    const run = this.runs.find(({ id }) => path === `/v1/runs/${id}`);
    if (run) return run;
    const claim = this.claims.find(({ system }) => path === `/v1/claims/${system}`);
    if (claim && method === "POST") this.begun.push(JSON.parse(body.toString()));
    if (claim) return claim;
    if (/\/metrics$/.test(path)) return { rows: [{ step: 1, loss: 1 }], more: false };
    if (/\/inspection$/.test(path)) return { kind: "pth", tensors: [], tensorCount: 0, recognised: [] };
    if (method === "POST" && path === "/v1/files") {
      const { name, sizeBytes } = JSON.parse(body.toString()) as { name: string; sizeBytes: number };
      const file = { id: "f-000001", name, sizeBytes, received: 0, isWhole: false, parts: [], createdMs: 0 };
      this.files = [file];
      return file;
    }
    if (method === "POST" && path === "/v1/runs") {
      this.begun.push(JSON.parse(body.toString()));
      return { id: "begun" };
    }
    return {
      "/v1/models": { object: "list", data: this.models },
      "/v1/arena": this.arena,
      "/v1/systems": { data: [] },
      "/v1/claims": { data: this.claims },
      "/v1/files": { data: this.files },
      "/v1/operations": { data: this.operations },
      "/v1/training": { data: this.training },
      "/v1/runs": { total: this.runs.length, data: this.runs },
    }[path];
  }

  #file(path: string, response: ServerResponse): void {
    const file = this.#studio.get(path === "/" ? "/index.html" : path);
    response.writeHead(file ? 200 : 404, { "Content-Type": file?.type ?? "text/plain" });
    response.end(file?.bytes);
  }

  #look(response: ServerResponse): void {
    this.isLooking = true;
    response.on("close", () => {
      this.isLooking = false;
    });
  }

  #listen(response: ServerResponse): void {
    if (this.isSilent) return void response.writeHead(204).end();
    const send = events(response);
    send("state", { state: "running", crashes: 0, waiting: 0 });
    this.open++;
    response.on("close", () => this.open--);
  }

  async #generate(request: GenerateInput, response: ServerResponse): Promise<void> {
    this.generated.push(request);
    const count = request.count ?? 1;
    const send = events(response);
    send("started", {});
    for (let done = 1; done <= 3; done++) {
      await new Promise((resolve) => setTimeout(resolve, this.scaleMs));
      send("preview", { done, total: 3, strip: png(size * count) });
      if (this.endsEarly) return void response.end();
    }
    const pictures = Array.from({ length: count }, () => png(size));
    send("finished", { pictures, grid: png(size * count), computedMs: 1, waitedMs: 1 });
    response.end();
  }
}

function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(value));
}

const fail = (response: ServerResponse, status: number, code: string, message: string): void =>
  json(response, { error: { message, type: "", code, param: null } }, status);

function events(response: ServerResponse): (kind: string, data: unknown) => void {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  return (kind, data) => void response.write(`event: ${kind}\ndata: ${JSON.stringify(data)}\n\n`);
}
