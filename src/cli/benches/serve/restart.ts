/** H7: a server that is killed with jobs waiting: none is lost, none runs twice to its end, one that kills is parked. */
import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { Goal, LoadSize } from "./goal.ts";
import { benchModelId, pause, startTarget, type Target, type TargetOptions } from "./target.ts";

interface StoredJob {
  readonly id: string;
  readonly state: string;
}

const jobsOf = async (target: Target): Promise<StoredJob[]> =>
  ((await (await fetch(`${target.url}v1/jobs`)).json()) as { data: StoredJob[] }).data; // our own server's

async function enqueue(target: Target, seed: number, count: number): Promise<string> {
  const response = await fetch(`${target.url}v1/jobs`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model: benchModelId, class: seed % 16, seed, count }),
  });
  return ((await response.json()) as { id: string }).id; // our own server's
}

/** A new process gets so long before it is killed, so that the job has reached it. */
const graceMs = 200;

const isOver = ({ state }: StoredJob): boolean => state !== "queued" && state !== "running";

/** The process that computes: the server's only child while nothing trains. */
const computing = ({ pid }: Target): number | undefined => {
  try {
    return (
      Number.parseInt(execFileSync("ps", ["--ppid", String(pid), "-o", "pid="], { encoding: "utf8" }), 10) ||
      undefined
    );
  } catch {
    return undefined; // none just now
  }
};

/** Kills every process that computes a job, until the job is over; gives its state, and how often. */
async function poison(target: Target): Promise<{ state: string; kills: number }> {
  const id = await enqueue(target, 3, 32);
  let known: number | undefined;
  for (let kills = 0; ; ) {
    const job = (await jobsOf(target)).find((one) => one.id === id);
    if (job === undefined || isOver(job)) return { state: job?.state ?? "lost", kills };
    const pid = computing(target);
    await pause(graceMs);
    if (pid === undefined || pid === known || job.state !== "running") continue;
    try {
      process.kill(pid, "SIGKILL");
      [known, kills] = [pid, kills + 1];
    } catch {
      // it has just ended
    }
  }
}

export async function restart(options: TargetOptions, { jobs: count }: LoadSize): Promise<Goal> {
  const first = await startTarget(options);
  const ids = new Set<string>();
  for (let seed = 0; seed < count; seed++) ids.add(await enqueue(first, seed, 2));
  while (!(await jobsOf(first)).some(isOver)) await pause(5);
  const before = (await jobsOf(first)).filter(({ state }) => state === "finished");
  await first.kill();
  const madeAt = (id: string) => statSync(join(options.folder, ".jobs", id, "result")).mtimeMs;
  const times = new Map(before.map(({ id }) => [id, madeAt(id)]));
  await using second = await startTarget(options);
  const there = (await jobsOf(second)).filter(({ id }) => ids.has(id));
  while (!(await jobsOf(second)).every(isOver)) await pause(50);
  const finished = (await jobsOf(second)).filter(
    ({ id, state }) => ids.has(id) && state === "finished",
  ).length;
  const again = before.filter(({ id }) => madeAt(id) !== times.get(id)).length;
  const poisoned = await poison(second);
  return {
    id: "H7",
    text: `kill -9 with ${count} jobs: all there after the restart, all finish, none a second time; one that kills its process twice is parked`,
    holds: there.length === count && finished === count && again === 0 && poisoned.state === "parked",
    figures: {
      ...{ jobs: count, finishedBefore: before.length, thereAfter: there.length, finished },
      madeAgain: again,
      poisoned: poisoned.state,
      kills: poisoned.kills,
    },
  };
}
