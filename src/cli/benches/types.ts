import type { Device } from "../../runtime/device.ts";
import type { DeviceFlags } from "../deviceFlags.ts";

/** Flags of `nextx bench`. */
export interface BenchFlags extends DeviceFlags {
  /** What is measured, where that is a model. */
  readonly model?: string;
  /** Measured repetitions; each bench has its own default. */
  readonly steps?: number;
  /** A Python that has PyTorch. */
  readonly python?: string;
  readonly out?: string;
  readonly profile?: boolean;
  /** A published size with random weights instead of a model. */
  readonly official?: string;
  /** Fewer transformer blocks than published. */
  readonly depth?: number;
  /** A checkout of the authors' code. */
  readonly authors?: string;
  /** Sampling settings, as JSON. */
  readonly settings?: string;
  /** Short loads or tiny sizes, to see that the bench works. */
  readonly trial?: boolean;
  /** Pictures drawn together. */
  readonly pictures?: number;
  /** Whether `out` may be replaced. */
  readonly force?: boolean;
  /** Asked between the parts of a bench. */
  readonly signal?: AbortSignal;
}

/** What a benchmark measured: numbers for machines, lines for people. */
export interface BenchReport {
  readonly device: Device;
  readonly numbers: Readonly<Record<string, unknown>>;
  readonly lines: readonly string[];
}

export type Bench = (flags: BenchFlags) => Promise<BenchReport>;
