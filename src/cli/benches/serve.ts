/**
 * `nextx bench serve`: the server's goals under load: overload, health, leaving clients, hostile ones, bounds, restart,
 * exposure. This process makes the load, niced, so that it does not take the server's time; the server computes on all
 * cores but one.
 */
import { availableParallelism, setPriority } from "node:os";
import { join } from "node:path";
import { throwIfAborted } from "../../decoding/loop.ts";
import { openDevice } from "../../runtime/device.node.ts";
import { workFolder } from "./benchModel.ts";
import { cancels } from "./serve/cancels.ts";
import { exposure } from "./serve/exposure.ts";
import { fullLoad, type Goal, trialLoad } from "./serve/goal.ts";
import { hostile } from "./serve/hostile.ts";
import { limits } from "./serve/limits.ts";
import { overload, Witness } from "./serve/overload.ts";
import { restart } from "./serve/restart.ts";
import { startTarget } from "./serve/target.ts";
import type { Bench } from "./types.ts";

/** The load has what the server, its computing child and the witness leave. */
const niceness = 19;

const lineOf = ({ id, text, holds, figures }: Goal): string[] => [
  `${id} ${holds ? "holds " : "MISSES"}  ${text}`,
  `             ${Object.entries(figures)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ")}`,
];

export const serveBench: Bench = async ({ trial = false, signal }) => {
  using folder = workFolder();
  const load = trial ? trialLoad : fullLoad;
  const threads = Math.max(1, availableParallelism() - 1);
  const options = { folder: join(folder.path, "runs"), threads };
  const goals: Goal[] = [];
  {
    await using target = await startTarget(options);
    using witness = new Witness(target);
    setPriority(niceness); // server and witness have started with ours
    goals.push(
      await limits(target),
      await exposure(target, { ...options, folder: join(folder.path, "other") }),
    );
    throwIfAborted(signal);
    goals.push(...(await overload(target, witness, load)));
    throwIfAborted(signal);
    goals.push(await cancels(target, load), await hostile(target, load));
  }
  throwIfAborted(signal);
  goals.push(await restart({ ...options, folder: join(folder.path, "jobs") }, load));
  goals.sort((a, b) => a.id.localeCompare(b.id));
  return {
    device: await openDevice({ device: "cpu", threads }),
    numbers: { trial, threads, load: { ...load }, goals },
    lines: [
      ...(trial ? ["A trial: short loads on whatever else runs here. Its figures prove nothing."] : []),
      ...goals.flatMap(lineOf),
      `${goals.filter(({ holds }) => holds).length} of ${goals.length} goals hold`,
    ],
  };
};
