/** Memory of this process. */
import { readFileSync } from "node:fs";

/** Largest resident memory so far, in bytes: VmHWM on Linux, what the system counts elsewhere. */
export function peakMemoryBytes(): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    if (kilobytes !== undefined) return 1024 * Number(kilobytes);
  } catch {
    // no /proc here
  }
  return 1024 * process.resourceUsage().maxRSS;
}
