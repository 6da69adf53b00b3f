/** All arms of a claim about refining a scale-wise model, in the order in which they need each other. */
import type { Arm } from "../arms.node.ts";
import { baseArm, guidanceArm, judgingArm } from "./judging.ts";
import { schedulesArm, scheduleTimesArm } from "./schedules.ts";
import { claimedMethod, RefinementBench, type RefinementSetting } from "./setting.ts";
import { sweepArm } from "./sweep.ts";
import { costArm, trainingArm } from "./training.ts";

/** Seed by seed, so that a claim that was stopped early already compares all methods. */
export function refinementArms(setting: RefinementSetting): Arm[] {
  const bench = new RefinementBench(setting);
  const methods = Object.keys(setting.methods);
  const [first = 1, ...others] = setting.seeds;
  const variants = Object.entries(setting.sweep?.variants ?? {});
  const schedules = setting.sampledSchedules ? [setting.sampledSchedules] : [];
  const train = (seed: number) => methods.map((method) => trainingArm(bench, method, seed));
  const judge = (seed: number) => methods.map((method) => judgingArm(bench, method, seed));
  return [
    costArm(bench),
    ...train(first),
    ...methods.map((method) => guidanceArm(bench, method)),
    baseArm(bench),
    ...judge(first),
    ...others.flatMap((seed) => [...train(seed), ...judge(seed)]),
    ...schedules.flatMap((sides) =>
      [schedulesArm, scheduleTimesArm].map((arm) =>
        arm(bench, { method: claimedMethod(setting), seed: first, schedules: sides }),
      ),
    ),
    ...variants.map(([name, variant]) => sweepArm(bench, name, variant, setting.sweep?.seed ?? first)),
  ];
}
