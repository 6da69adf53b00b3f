/**
 * A process that only asks for health and, once a moment, for a picture: `node witness.js URL`, told by its parent for how
 * long. Apart from the one that makes the load, whose own work would be in its times, and begun before that one is niced.
 */
import { isFinished, onePicture, pause, post } from "./target.ts";

/** What its parent says. */
export interface Watching {
  readonly ms: number;
}

/** What came back in that time. */
export interface Seen {
  readonly livezMs: number[];
  readonly readyzMs: number[];
  unready: number;
  /** Until a refusal of a picture had come. */
  readonly refusedMs: number[];
  /** Pictures that were not refused. */
  accepted: number;
  finished: number;
}

/** Milliseconds between two questions. */
const between = { health: 25, picture: 100 } as const;

async function watchHealth(url: string, end: number, seen: Seen): Promise<void> {
  while (performance.now() < end) {
    for (const [path, all] of [
      ["livez", seen.livezMs],
      ["readyz", seen.readyzMs],
    ] as const) {
      const startMs = performance.now();
      const response = await fetch(url + path);
      await response.arrayBuffer();
      all.push(performance.now() - startMs);
      if (path === "readyz" && response.status === 503) seen.unready++;
    }
    await pause(between.health);
  }
}

async function watchRefusals(url: string, end: number, seen: Seen): Promise<void> {
  for (let seed = 1; performance.now() < end; seed++) {
    const answer = await post({ url }, onePicture(seed));
    if (answer.status === 429) seen.refusedMs.push(answer.ms);
    else seen.accepted++;
    if (isFinished(answer)) seen.finished++;
    await pause(between.picture);
  }
}

async function watch(url: string, ms: number): Promise<Seen> {
  const seen: Seen = { livezMs: [], readyzMs: [], unready: 0, refusedMs: [], accepted: 0, finished: 0 };
  const end = performance.now() + ms;
  await Promise.all([watchHealth(url, end, seen), watchRefusals(url, end, seen)]);
  return seen;
}

const [url = ""] = process.argv.slice(2);
process.once("message", ({ ms }: Watching) =>
  watch(url, ms).then(
    (seen) => process.send?.(seen, () => process.disconnect?.()),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exitCode = 1;
      process.disconnect?.();
    },
  ),
);
