/** What the processor of this machine can do with bytes. */
import { readFileSync } from "node:fs";
import { arch, platform } from "node:os";
import type { WeightBits } from "./quantised.ts";

/** Flags of x86 processors that add products of bytes into 32 bits at once. */
const flags = /\b(avx512_vnni|avx_vnni|avx_vnni_int8|amx_int8)\b/;

/**
 * Bits that int8 weights may use: 7 where the processor adds pairs of products in 16 bits and would saturate, which are
 * x86 processors without VNNI, and those that cannot be asked. `cpuinfo` is the text of /proc/cpuinfo.
 */
export function weightBitsOf(architecture: string, cpuinfo: string | undefined): WeightBits {
  if (architecture !== "x64" && architecture !== "ia32") return 8;
  return cpuinfo !== undefined && flags.test(cpuinfo) ? 8 : 7;
}

function readCpuinfo(): string | undefined {
  if (platform() !== "linux") return undefined;
  try {
    return readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    return undefined; // a sandbox that hides it
  }
}

/** Those of this machine. */
export const machineWeightBits = (): WeightBits => weightBitsOf(arch(), readCpuinfo());
