/** H4: half-open headers, bodies a byte at a time, huge ones, headers without end, garbage; others are served meanwhile. */
import { connect, type Socket } from "node:net";
import { type Goal, type LoadSize, percentile, rounded } from "./goal.ts";
import { once, pause, residentMb, type Target } from "./target.ts";

const head = (target: Target, length: number): string =>
  `POST /v1/generate HTTP/1.1\r\nHost: 127.0.0.1:${target.port}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;

/** A connection that says something and takes what comes, errors too. */
function say(target: Target, text: string): Socket {
  const socket = connect(target.port, "127.0.0.1", () => socket.write(text));
  socket.on("error", () => undefined); // the server may hang up
  socket.resume();
  return socket;
}

/** As many connections that say this, others in the place of those that the server ends. Dispose when done. */
class Crowd implements Disposable {
  readonly sockets = new Set<Socket>();
  #isOver = false;

  constructor(target: Target, count: number, text: string) {
    for (let i = 0; i < count; i++) this.#join(target, text);
  }

  #join(target: Target, text: string): void {
    const socket = say(target, text);
    this.sockets.add(socket);
    socket.once("close", () => {
      this.sockets.delete(socket);
      if (!this.#isOver) this.#join(target, text);
    });
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    for (const socket of this.sockets) socket.destroy();
  }
}

/** The status of the answer to raw bytes; 0 when the server hung up without one. */
function answerTo(target: Target, chunks: Iterable<string | Uint8Array>): Promise<number> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(target.port, "127.0.0.1");
    const end = () => {
      socket.destroy();
      resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0));
    };
    socket.setTimeout(30_000, end);
    socket.on("error", end);
    socket.on("close", end);
    socket.on("data", (data) => {
      text += data;
      if (text.includes("\r\n\r\n")) end();
    });
    void (async () => {
      for (const chunk of chunks) {
        if (socket.destroyed) return;
        if (!socket.write(chunk)) await new Promise((go) => socket.once("drain", go));
      }
    })();
  });
}

function* gigabyte(target: Target): Generator<string | Uint8Array> {
  yield head(target, 2 ** 30);
  const piece = new Uint8Array(2 ** 20).fill(32);
  for (let i = 0; i < 1024; i++) yield piece;
}

function* manyHeaders(target: Target): Generator<string> {
  yield `GET /livez HTTP/1.1\r\nHost: 127.0.0.1:${target.port}\r\n`;
  for (let i = 0; i < 100_000; i++) yield `x-${i}: y\r\n`;
  yield "\r\n";
}

async function latencies(target: Target, count: number): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) {
    const startMs = performance.now();
    await once(target, i);
    all.push(performance.now() - startMs);
  }
  return all;
}

export async function hostile(
  target: Target,
  { halfOpen, slowBodies, normalRequests }: LoadSize,
): Promise<Goal> {
  const before = await latencies(target, normalRequests);
  let peak = residentMb(target.pid);
  const watch = setInterval(() => {
    peak = Math.max(peak, residentMb(target.pid));
  }, 100);
  using _halfOpen = new Crowd(target, halfOpen, "POST /v1/generate HTTP/1.1\r\nHost: 127");
  using slow = new Crowd(target, slowBodies, head(target, 1000));
  const drip = setInterval(() => {
    for (const socket of slow.sockets) socket.write(" ");
  }, 1000);
  await pause(500);
  const answers = Promise.all([
    answerTo(target, gigabyte(target)),
    answerTo(target, manyHeaders(target)),
    answerTo(target, [`${head(target, 5)}{{{{{`]),
    answerTo(target, [
      `GET /livez HTTP/1.1\r\nHost: 127.0.0.1:${target.port}\r\n\r\n\x00\x01garbage\r\n\r\n`.repeat(50),
    ]),
    answerTo(target, ["\x16\x03\x01 no HTTP at all\r\n\r\n"]),
  ]);
  const during = await latencies(target, normalRequests);
  const [huge, headers, badJson, pipelined, noHttp] = await answers;
  clearInterval(watch);
  clearInterval(drip);
  const [p99Before, p99During] = [percentile(before, 0.99), percentile(during, 0.99)];
  const isAlive = (await fetch(`${target.url}livez`)).status === 200;
  return {
    id: "H4",
    text: "half-open headers, slow and huge bodies, headers without end, garbage: under 300 MB, and others wait less than 20 % longer (p99)",
    holds:
      isAlive && peak < 300 && p99During < 1.2 * p99Before && (huge === 413 || huge === 0) && badJson === 400,
    figures: {
      halfOpen,
      slowBodies,
      peakMb: rounded(peak),
      normalP99BeforeMs: rounded(p99Before),
      normalP99DuringMs: rounded(p99During),
      ...{ gigabyteBody: huge ?? 0, hundredThousandHeaders: headers ?? 0, badJson: badJson ?? 0 },
      ...{ pipelinedGarbage: pipelined ?? 0, noHttp: noHttp ?? 0, isAlive },
    },
  };
}
