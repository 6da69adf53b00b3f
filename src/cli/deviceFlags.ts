/** The flags of every command that computes: which device, how many threads. */
import { type Command, Option } from "commander";
import { type DeviceOptions, deviceNames } from "../runtime/device.node.ts";
import { integer } from "./numbers.ts";

export interface DeviceFlags {
  readonly device: string;
  readonly threads: number;
}

/** Adds --device and --threads. */
export function addDeviceFlags(command: Command): Command {
  return command
    .addOption(new Option("--device <name>", "what computes").choices(deviceNames).default("cpu"))
    .option("--threads <n>", "threads of the processor", integer(1, 256), 2);
}

/** What the flags say, for the functions that open a device. */
export const deviceOptions = ({ device, threads }: DeviceFlags): DeviceOptions => ({ device, threads });
