/** The server that is measured: the shipped binary in a process of its own, its counters, its memory, its sockets. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { join } from "node:path";
import { packageRoot } from "../../../models.node.ts";
import { NextxError } from "../../../tensor/errors.ts";

/** The model that makes the pictures. */
export const benchModelId = "synth-32";
/** Requests that may wait. */
export const maxWaiting = 64;

export interface Target extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Ends it as a power cut would. */
  kill(): Promise<void>;
}

export interface TargetOptions {
  readonly folder: string;
  readonly threads: number;
  readonly args?: readonly string[];
}

const bin = (): string => join(packageRoot(), "bin/nextx.js");

/** Runs `nextx serve`. @throws NextxError BENCH_NO_SERVER with what it said */
export async function startTarget({ folder, threads, args = [] }: TargetOptions): Promise<Target> {
  const flags = [
    "--json",
    "--port=0",
    `--runs=${folder}`,
    `--threads=${threads}`,
    `--max-waiting=${maxWaiting}`,
  ];
  const child = spawn(process.execPath, [bin(), "serve", ...flags, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const url = await firstUrl(child);
  const ended = new Promise<void>((resolve) => child.on("exit", () => resolve()));
  const kill = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  const target = {
    url,
    port: Number(new URL(url).port),
    pid: child.pid as number,
    kill,
    [Symbol.asyncDispose]: kill,
  }; // it runs
  await once(target, 1); // programs are built, weights are packed
  return target;
}

function firstUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const read = (data: Buffer) => {
      text += data;
      const url = /"url":"([^"]+)"/.exec(text)?.[1];
      if (url) resolve(url);
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.on("exit", () =>
      reject(new NextxError("BENCH_NO_SERVER", `The server did not start: ${text.trim()}`)),
    );
  });
}

/** What was answered to a request that was read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** From before the request until the answer's end. */
  readonly ms: number;
}

/** Connections that are used again, as many as there are questions at a time. */
const connections = new Agent({ keepAlive: true });

/** Asks for pictures by `node:http`, which costs the asking process a third of what `fetch` does. Rejects when the connection fails. */
export function post(
  { url }: Pick<Target, "url">,
  body: object,
  agent: Agent = connections,
): Promise<Answer> {
  const startMs = performance.now();
  const bytes = JSON.stringify({ model: benchModelId, ...body });
  const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(bytes) };
  return new Promise((resolve, reject) => {
    const asked = request(`${url}v1/generate`, { method: "POST", agent, headers }, (response) => {
      const { statusCode: status = 0, headers } = response;
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => resolve({ status, headers, text, ms: performance.now() - startMs }));
      response.on("error", reject);
    });
    asked.on("error", (error: NodeJS.ErrnoException) => {
      // an idle connection that the server ended just then: nothing was asked yet
      if (asked.reusedSocket && error.code === "ECONNRESET") resolve(post({ url }, body, agent));
      else reject(error);
    });
    asked.end(bytes);
  });
}

/** One picture of a class and noise that the seed chooses. */
export const onePicture = (seed: number) => ({ class: seed % 16, count: 1, seed, previews: false });

/** Whether pictures came, and not a refusal or an error. */
export const isFinished = ({ text }: Answer): boolean => text.includes("event: finished");

/** A request for pictures whose answer is read as it comes. */
export const ask = (
  target: Pick<Target, "url">,
  seed: number,
  more: object = {},
  signal?: AbortSignal,
): Promise<Response> =>
  fetch(`${target.url}v1/generate`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model: benchModelId, ...onePicture(seed), ...more }),
    ...(signal && { signal }),
  });

/** A picture from first to last byte; gives whether it came. */
export const once = async (target: Pick<Target, "url">, seed: number): Promise<boolean> =>
  isFinished(await post(target, onePicture(seed)));

/** A number of the server's metrics; 0 when it has none of that name. */
export async function metric(target: Pick<Target, "url">, name: string): Promise<number> {
  const text = await (await fetch(`${target.url}metrics`)).text();
  const line = text.split("\n").find((one) => one.startsWith(`${name} `) || one.startsWith(`${name}{`));
  return Number(line?.split(" ").at(-1) ?? 0);
}

/** Waits until nothing runs and nothing waits. */
export async function untilIdle(target: Pick<Target, "url">): Promise<void> {
  while (
    (await metric(target, "nextx_num_requests_running")) +
      (await metric(target, "nextx_num_requests_waiting")) >
    0
  )
    await pause(20);
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Resident memory of a process in MB; NaN where the system does not tell. */
export function residentMb(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
  } catch {
    return Number.NaN;
  }
}

/** Open files and sockets of a process; NaN where the system does not tell. */
export function openFiles(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return Number.NaN;
  }
}

export interface Socket {
  readonly local: string;
  readonly remote: string;
  readonly isListening: boolean;
}

/** Sockets of a process by /proc, IPv4 and IPv6; undefined where there is none. */
export function socketsOf(pid: number): readonly Socket[] | undefined {
  try {
    const inodes = new Set(
      readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
        try {
          return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
        } catch {
          return []; // closed meanwhile
        }
      }),
    );
    return ["tcp", "tcp6"].flatMap((table) =>
      readFileSync(`/proc/net/${table}`, "utf8")
        .split("\n")
        .slice(1)
        .map((line) => line.trim().split(/\s+/))
        .filter(([, , , , , , , , , inode = ""]) => inodes.has(inode))
        .map(([, local = "", remote = "", state]) => ({ local, remote, isListening: state === "0A" })),
    );
  } catch {
    return undefined;
  }
}
