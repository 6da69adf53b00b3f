/** H1 and H2: many more clients than the queue holds, and health checks while all of it computes. */
import { type ChildProcess, fork } from "node:child_process";
import { NextxError } from "../../../tensor/errors.ts";
import { type Goal, type LoadSize, percentile, rounded } from "./goal.ts";
import { isFinished, maxWaiting, once, onePicture, pause, post, type Target, untilIdle } from "./target.ts";
import type { Seen, Watching } from "./witness.ts";

/** Clients that fill the queue without overflowing it. */
const fitting = 32;

/** Pictures per second with as many clients as fit, none refused. */
async function capacityAlone(target: Target, ms: number): Promise<number> {
  const end = performance.now() + ms;
  let [pictures, seed] = [0, 0];
  const startMs = performance.now();
  await Promise.all(
    Array.from({ length: fitting }, async () => {
      while (performance.now() < end) if (await once(target, seed++)) pictures++;
    }),
  );
  return (1000 * pictures) / (performance.now() - startMs);
}

interface Flood {
  readonly refusedMs: number[];
  accepted: number;
  finished: number;
  withoutRetryAfter: number;
  /** Other statuses, and failures of connections by code. */
  readonly others: Map<string, number>;
}

/** One client: asks, takes what comes, comes back later when refused. */
async function client(target: Target, index: number, end: number, flood: Flood): Promise<void> {
  await pause((index * 7) % 1000); // they do not all come in the same millisecond
  for (let seed = index; performance.now() < end; seed += 7919) {
    const answer = await post(target, onePicture(seed)).catch(
      (error: NodeJS.ErrnoException) => error.code ?? error.message,
    );
    if (typeof answer === "object" && answer.status === 429) {
      flood.refusedMs.push(answer.ms);
      if (!(Number(answer.headers["retry-after"]) >= 1)) flood.withoutRetryAfter++;
      await pause(1000 + ((seed * 31) % 1000));
    } else if (typeof answer === "object" && answer.status === 200) {
      flood.accepted++;
      if (isFinished(answer)) flood.finished++;
    } else {
      const why = typeof answer === "object" ? String(answer.status) : answer;
      flood.others.set(why, (flood.others.get(why) ?? 0) + 1);
    }
  }
}

/** Entry of the witness, built beside this file. */
const witnessFile = "witness.js";

/** A process that will ask for health and for pictures; begin it before this one is niced. */
export class Witness implements Disposable {
  readonly #child: ChildProcess;

  constructor(target: Pick<Target, "url">) {
    this.#child = fork(new URL(witnessFile, import.meta.url), [target.url], { execArgv: [] });
  }

  /** What it saw. @throws NextxError BENCH_NO_WITNESS */
  watch(ms: number): Promise<Seen> {
    return new Promise((resolve, reject) => {
      this.#child.on("message", (seen: Seen) => resolve(seen)); // our own entry's
      this.#child.on("exit", () =>
        reject(new NextxError("BENCH_NO_WITNESS", "The process that watches the server ended early.")),
      );
      this.#child.send({ ms } satisfies Watching);
    });
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}

export async function overload(
  target: Target,
  witness: Witness,
  { clients, overloadMs }: LoadSize,
): Promise<Goal[]> {
  const before = await capacityAlone(target, overloadMs / 5);
  await untilIdle(target);
  const flood: Flood = { refusedMs: [], accepted: 0, finished: 0, withoutRetryAfter: 0, others: new Map() };
  const startMs = performance.now();
  const end = startMs + overloadMs;
  const [seen] = await Promise.all([
    witness.watch(overloadMs),
    ...Array.from({ length: clients }, (_, i) => client(target, i, end, flood)),
  ]);
  flood.accepted += seen.accepted;
  flood.finished += seen.finished;
  const goodput = (1000 * flood.finished) / (performance.now() - startMs);
  await untilIdle(target);
  const after = await capacityAlone(target, overloadMs / 5);
  const alone = (before + after) / 2;
  const refused = percentile(seen.refusedMs, 0.99);
  const [livez, readyz] = [percentile(seen.livezMs, 0.99), percentile(seen.readyzMs, 0.99)];
  return [
    {
      id: "H1",
      text: `${clients} clients against a queue of ${maxWaiting}: the rest gets 429 with Retry-After in under 50 ms (p99), all accepted finish, goodput at least 95 % of capacity alone`,
      holds:
        refused < 50 &&
        seen.refusedMs.length > 0 &&
        flood.withoutRetryAfter + flood.others.size === 0 &&
        flood.finished === flood.accepted &&
        goodput >= 0.95 * alone,
      figures: {
        ...{ refused: flood.refusedMs.length, accepted: flood.accepted, finished: flood.finished },
        ...{
          withoutRetryAfter: flood.withoutRetryAfter,
          otherAnswers: [...flood.others].join("; ") || "none",
        },
        ...{ witnessed: seen.refusedMs.length, refusedP99Ms: rounded(refused) },
        refusedP99MsOfTheLoad: rounded(percentile(flood.refusedMs, 0.99)),
        picturesPerSecond: rounded(goodput),
        aloneBefore: rounded(before),
        aloneAfter: rounded(after),
        goodputShare: rounded(goodput / alone),
      },
    },
    {
      id: "H2",
      text: "health answers in under 20 ms (p99) meanwhile, and says when the queue is full",
      holds: livez < 20 && readyz < 20 && seen.unready > 0,
      figures: {
        probes: seen.livezMs.length,
        livezP99Ms: rounded(livez),
        readyzP99Ms: rounded(readyz),
        saidNotReady: seen.unready,
      },
    },
  ];
}
