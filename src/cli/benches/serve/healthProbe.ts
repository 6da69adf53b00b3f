/**
 * A process that only asks for health: `node healthProbe.js URL MS`. Apart from the one that makes the load, whose own
 * work would be in its times; tells its parent and ends.
 */
import { pause } from "./target.ts";

/** What came back in that time. */
export interface Health {
  readonly livezMs: number[];
  readonly readyzMs: number[];
  unready: number;
}

async function watchHealth(url: string, ms: number): Promise<Health> {
  const end = performance.now() + ms;
  const health: Health = { livezMs: [], readyzMs: [], unready: 0 };
  while (performance.now() < end) {
    for (const [path, all] of [
      ["livez", health.livezMs],
      ["readyz", health.readyzMs],
    ] as const) {
      const startMs = performance.now();
      const response = await fetch(url + path);
      await response.arrayBuffer();
      all.push(performance.now() - startMs);
      if (path === "readyz" && response.status === 503) health.unready++;
    }
    await pause(25);
  }
  return health;
}

const [url = "", ms = "0"] = process.argv.slice(2);
watchHealth(url, Number(ms)).then(
  (health) => process.send?.(health, () => process.disconnect?.()),
  (error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    process.exitCode = 1;
    process.disconnect?.();
  },
);
