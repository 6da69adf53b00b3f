/** A running server: the computing process, the queue, the jobs, HTTP on a socket. */
import { join } from "node:path";
import { createAdaptorServer } from "@hono/node-server";
import { packageRoot } from "../models.node.ts";
import { NextxError } from "../tensor/errors.ts";
import { createApp } from "./app.ts";
import { ArenaShelf } from "./arena.node.ts";
import { Catalogue } from "./catalogue.node.ts";
import { ComputeProcess } from "./compute/process.node.ts";
import { loopbackHosts } from "./guard.ts";
import { JobStore } from "./jobStore.node.ts";
import { maxPictures } from "./limits.ts";
import { openLongWork } from "./longWork.node.ts";
import { Measuring } from "./measuring.node.ts";
import { Metrics } from "./metrics.ts";
import { Service } from "./service.node.ts";
import { readStaticFiles } from "./staticFiles.node.ts";

export interface ServeOptions {
  readonly version: string;
  /** Entry of the computing process. */
  readonly worker: URL;
  /** Entry of processes that do long work. */
  readonly operator: URL;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Further names by which clients may call. */
  readonly allowHosts: readonly string[];
  readonly token: string | undefined;
  /** What computes pictures, trainings, claims and dynamics, one of `deviceNames`. */
  readonly device: string;
  readonly threads: number;
  readonly maxWaiting: number;
  readonly models: readonly string[];
  readonly runs: string;
  /** Folder of results of claims and of the arena. */
  readonly results: string;
  /** Folder of data sets. */
  readonly dataRoot: string | undefined;
  /** Folder of the jobs. */
  readonly jobs: string;
  /** Folder of accepted long work. */
  readonly operations: string;
  /** Folder of files that clients bring and that work makes. */
  readonly files: string;
}

export interface Running {
  readonly url: string;
  readonly hasStudio: boolean;
  /** Stops taking work, ends what runs, leaves jobs for the next server. */
  stop(): Promise<void>;
}

const isLoopback = (host: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host);
const inUrl = (host: string): string => (host.includes(":") ? `[${host}]` : host);

/** Most tokens that wait: about 100 requests of 16 pictures of a small model. */
const maxWaitingTokens = 2 ** 19;
/** Most bytes of pictures to edit that wait. */
const maxWaitingBytes = 2 ** 25;
/** So long the last answers may take on their way. */
const lastWordsMs = 1000;
/** Most connections at once. */
const maxConnections = 4096;

/**
 * @throws NextxError DEVICE_ codes, SERVE_TOKEN_REQUIRED beyond this machine, SERVE_PORT_BUSY, SERVE_BAD_HOST, RUN_LOCKED when another
 * server uses the folder of jobs, MODEL_ codes
 */
export async function startServer(options: ServeOptions): Promise<Running> {
  const { host, port, token, version } = options;
  if (!isLoopback(host) && token === undefined) {
    throw new NextxError("SERVE_TOKEN_REQUIRED", `Listening on ${host} needs a token.`, {
      path: "token",
      hint: "Set NEXTX_TOKEN, or listen on 127.0.0.1.",
    });
  }
  const { models, runs: runsFolder, files } = options;
  const catalogue = await Catalogue.open({ models, runs: runsFolder, files });
  /** What was opened, to be closed again, the newest first. */
  const opened: (() => unknown)[] = [];
  const abandon = async () => {
    for (const close of opened.splice(0).reverse()) await close();
  };
  try {
    return await started();
  } catch (error) {
    await abandon();
    throw error;
  }

  async function started(): Promise<Running> {
    const store = await JobStore.open(options.jobs);
    opened.push(() => store[Symbol.asyncDispose]());
    const { device, threads } = options;
    const compute = new ComputeProcess(options.worker, { device, threads, version });
    opened.push(() => compute[Symbol.dispose]());
    const limits = {
      maxWaiting: options.maxWaiting,
      ...{ maxWaitingTokens, maxWaitingBytes, maxRows: maxPictures },
    };
    const service = new Service({ catalogue, compute, store, metrics: new Metrics(), limits });
    await service.recover();
    const studio = readStaticFiles(join(packageRoot(), "dist/studio"));
    const hosts = [...loopbackHosts, inUrl(host), ...options.allowHosts];
    const measuring = new Measuring({ device, threads });
    opened.push(() => measuring[Symbol.dispose]());
    const long = await openLongWork(options, catalogue);
    opened.push(() => long[Symbol.asyncDispose]());
    const { operations } = long;
    const arena = new ArenaShelf(options.results);
    const app = createApp(service, { hosts, token, version, studio, measuring, arena, ...long });
    await compute.started;
    const server = createAdaptorServer({
      fetch: app.fetch,
      hostname: host,
      serverOptions: {
        headersTimeout: 10_000,
        requestTimeout: 30_000,
        keepAliveTimeout: 5_000,
        connectionsCheckingInterval: 2_000,
        maxHeaderSize: 16_384,
      },
    }) as import("node:http").Server; // no TLS, no HTTP/2
    server.maxConnections = maxConnections;
    await listen(server, host, port);
    const address = server.address();
    const actual = typeof address === "object" && address ? address.port : port;
    return {
      url: `http://${inUrl(host)}:${actual}/`,
      hasStudio: studio !== undefined,
      stop: async () => {
        await Promise.allSettled([service.stop(), operations.shutDown()]); // whoever asks meanwhile hears it
        const answered = new Promise<void>((resolve) => server.close(() => resolve()));
        await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, lastWordsMs))]);
        server.closeAllConnections();
        await abandon();
      },
    };
  }
}

function listen(server: import("node:http").Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const busy = cause.code === "EADDRINUSE";
      reject(
        new NextxError(
          busy ? "SERVE_PORT_BUSY" : "SERVE_BAD_HOST",
          busy ? `Port ${port} is taken.` : `Cannot listen on ${host}:${port} (${cause.code}).`,
          {
            path: busy ? "port" : "host",
            hint: busy ? "Choose another: --port N (0 takes a free one)." : "Use --host 127.0.0.1.",
            cause,
          },
        ),
      );
    });
    server.listen(port, host, resolve);
  });
}
