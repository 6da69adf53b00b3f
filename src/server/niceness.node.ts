/** Long work and measurements stay below the process that makes pictures: those are answered meanwhile. */
import { setPriority } from "node:os";

const niceness = 10;

/** Lowers the priority of a process that has just started; of this one without an id. */
export function stepBack(pid = 0): void {
  try {
    setPriority(pid, niceness);
  } catch {
    // not allowed here, or it is gone: pictures may come later meanwhile
  }
}
