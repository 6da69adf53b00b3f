import type { Device } from "../../runtime/device.ts";
import type { DeviceFlags } from "../deviceFlags.ts";

/** Flags of `nextx bench`. */
export interface BenchFlags extends DeviceFlags {
  readonly steps: number;
  /** A Python that has PyTorch. */
  readonly python?: string;
  readonly out?: string;
  readonly profile?: boolean;
}

/** What a benchmark measured: numbers for machines, lines for people. */
export interface BenchReport {
  readonly device: Device;
  readonly numbers: Readonly<Record<string, unknown>>;
  readonly lines: readonly string[];
}

export type Bench = (flags: BenchFlags) => Promise<BenchReport>;
