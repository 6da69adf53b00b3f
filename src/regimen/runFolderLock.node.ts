/**
 * One writer per run folder: a lock file that names the process. The lock of a process that no longer lives is taken over;
 * a process id that was given to another process since is told apart by its start time where the system tells it.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { temporaryName } from "../formats/durable.node.ts";
import { type FileLayer, type FileSink, fileError, systemErrorCode } from "../formats/durableLayer.node.ts";
import { NextxError } from "../tensor/errors.ts";

export const lockName = "lock.json";

const holderSchema = z.object({
  pid: z.number().int().min(1),
  /** Start time in the kernel's own unit; null where the system does not tell. */
  processStart: z.string().nullable(),
  host: z.string(),
  since: z.string(),
});

/** Who holds a run folder. */
export type LockHolder = z.infer<typeof holderSchema>;

export interface HeldLock {
  /** The dead process whose lock was taken over, if there was one. */
  readonly tookOver: LockHolder | "unreadable" | undefined;
  release(): Promise<void>;
}

const attempts = 20;
const retryMs = 25;

/** Start time of a live process: field 22 of /proc/<pid>/stat on Linux, else null. */
function processStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null; // fields after the name begin with the third
  } catch {
    return null;
  }
}

function isAlive({ pid, processStart: start, host }: LockHolder): boolean {
  if (host !== hostname()) return true; // cannot be seen from here
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (systemErrorCode(error) === "ESRCH") return false;
  }
  const current = processStart(pid);
  return start === null || current === null || start === current;
}

/** Whether a live process holds a folder's lock, as far as can be seen from here. Takes nothing. */
export async function isLocked(folder: string, files: FileLayer): Promise<boolean> {
  const found = await readLock(join(folder, lockName), files);
  return typeof found === "object" && isAlive(found.holder);
}

/**
 * Takes the lock of a run folder.
 * @throws NextxError RUN_LOCKED, within a second, naming the holder; FILE_ codes
 */
export async function acquireLock(folder: string, files: FileLayer): Promise<HeldLock> {
  const path = join(folder, lockName);
  const since = new Date().toISOString();
  const own: LockHolder = {
    pid: process.pid,
    processStart: processStart(process.pid),
    host: hostname(),
    since,
  };
  const text = `${JSON.stringify(own)}\n`;
  let tookOver: HeldLock["tookOver"];
  for (let attempt = 1; ; attempt++) {
    if (await createLock(path, text, files)) break;
    const found = await readLock(path, files);
    if (typeof found === "string" && attempt < attempts) {
      await new Promise((resolve) => setTimeout(resolve, retryMs)); // its owner may be writing it just now
      continue;
    }
    if (found === "gone") throw locked(path, "unreadable"); // still in the way: a link to nothing
    if ((found !== "unreadable" && isAlive(found.holder)) || attempt >= 2 * attempts)
      throw locked(path, found);
    if (await takeOver(path, { stale: textOf(found), text, isLast: attempt >= attempts }, files)) {
      tookOver = found === "unreadable" ? found : found.holder;
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, retryMs)); // another took it, or is about to
  }
  return {
    tookOver,
    release: async () => {
      const found = await readLock(path, files);
      if (typeof found !== "object" || found.text !== text) return;
      await files.remove(path).catch((cause: unknown) => {
        throw fileError(cause, path, "remove");
      });
    },
  };
}

/** False when there is a lock already. */
async function createLock(path: string, text: string, files: FileLayer): Promise<boolean> {
  let sink: FileSink;
  try {
    sink = await files.open(path, "create");
  } catch (cause) {
    if (systemErrorCode(cause) === "EEXIST") return false;
    throw fileError(cause, path, "write");
  }
  try {
    await sink.write(new TextEncoder().encode(text)).finally(() => sink.close());
    return true;
  } catch (cause) {
    await files.remove(path).catch(() => undefined); // the first failure is the one to report
    throw fileError(cause, path, "write");
  }
}

async function readLock(
  path: string,
  files: FileLayer,
): Promise<{ holder: LockHolder; text: string } | "unreadable" | "gone"> {
  let bytes: Uint8Array;
  try {
    bytes = await files.read(path);
  } catch (cause) {
    if (systemErrorCode(cause) === "ENOENT") return "gone";
    throw fileError(cause, path, "read");
  }
  try {
    const text = new TextDecoder().decode(bytes);
    return { holder: holderSchema.parse(JSON.parse(text)), text };
  } catch {
    return "unreadable";
  }
}

type Found = Awaited<ReturnType<typeof readLock>>;

const textOf = (found: Found): string | undefined => (typeof found === "object" ? found.text : undefined);

interface Takeover {
  /** Text of the dead lock; undefined when it cannot be read. */
  readonly stale: string | undefined;
  readonly text: string;
  /** No further tries: what stands in the way for so long was left behind. */
  readonly isLast: boolean;
}

/**
 * Replaces a dead lock by ours, in one step, so that no one finds it missing. Only the process that could create a second
 * file may do so, and only while the dead lock still stands there. False when another was quicker.
 */
async function takeOver(path: string, { stale, text, isLast }: Takeover, files: FileLayer): Promise<boolean> {
  const claim = `${path}.takeover`;
  if (!(await createLock(claim, text, files))) {
    const found = await readLock(claim, files);
    const isLeft = found === "unreadable" ? isLast : found !== "gone" && !isAlive(found.holder);
    if (isLeft) await files.remove(claim).catch(() => undefined); // another may have removed it
    return false;
  }
  try {
    const found = await readLock(path, files);
    if (found === "gone" || textOf(found) !== stale) return false;
    const own = temporaryName(path);
    if (!(await createLock(own, text, files))) return false;
    await files.rename(own, path).catch((cause: unknown) => {
      throw fileError(cause, path, "take over");
    });
    return true;
  } finally {
    await files.remove(claim).catch(() => undefined); // a failure before it is the one to report
  }
}

function locked(path: string, found: { holder: LockHolder } | "unreadable"): NextxError {
  const who =
    found === "unreadable"
      ? "another process"
      : `process ${found.holder.pid} on ${found.holder.host} (since ${found.holder.since})`;
  return new NextxError("RUN_LOCKED", `${dirname(path)} is in use by ${who}.`, {
    path,
    hint: `Wait for it or stop it; remove ${lockName} if it ran on another machine and is gone.`,
  });
}
