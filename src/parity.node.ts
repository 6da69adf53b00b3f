/** Comparing a system with its authors' code: reads a folder of reference numbers and runs its checks. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type CheckResult, runCheck } from "./evaluate/parity.ts";
import type { HostTensor } from "./formats/hostTensor.ts";
import { caseSchema, type ParityCase } from "./formats/parityCase.ts";
import { openSafetensors } from "./formats/safetensors.node.ts";
import { suggestion } from "./formats/suggest.ts";
import { toValue } from "./formats/tensorValue.ts";
import { validate } from "./formats/validate.ts";
import { type DeviceOptions, openDevice } from "./runtime/device.node.ts";
import { systemIn, systems } from "./systems/registry.ts";
import { NextxError } from "./tensor/errors.ts";

async function readCase(folder: string): Promise<ParityCase> {
  const path = join(folder, "case.json");
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new NextxError("PARITY_NO_CASE", `${path} cannot be read.`, {
      path,
      hint: "Name a folder with case.json and its tensors.",
      cause,
    });
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new NextxError("PARITY_BAD_CASE", `${path} is not JSON.`, { path, cause });
  }
  return validate(caseSchema, json, "case");
}

async function readTensors(folder: string, name: string): Promise<Map<string, HostTensor>> {
  if (!/^[A-Za-z0-9._-]+$/.test(name))
    throw new NextxError("PARITY_BAD_CASE", `"${name}" is not a file of the case.`, { path: name });
  await using file = await openSafetensors(join(folder, name));
  const tensors = new Map<string, HostTensor>();
  for (const key of file.tensors.keys()) tensors.set(key, await file.read(key));
  return tensors;
}

/**
 * Runs every check of a folder (or the named one) and yields its result.
 * @throws NextxError PARITY_NO_CASE, PARITY_BAD_CASE, PARITY_UNKNOWN_CHECK, SYSTEM_UNKNOWN, SAFETENSORS_ codes
 */
export async function* parity(
  folder: string,
  { only, ...device }: DeviceOptions & { readonly only?: string } = {},
): AsyncGenerator<CheckResult> {
  const parityCase = await readCase(folder);
  const system = systemIn(systems, parityCase.system);
  const names = parityCase.checks.map((check) => check.name);
  const checks = parityCase.checks.filter((check) => only === undefined || check.name === only);
  if (checks.length === 0) {
    throw new NextxError("PARITY_UNKNOWN_CHECK", `The case has no check "${only}".`, {
      path: "only",
      hint: suggestion(only ?? "", names),
    });
  }
  const weights = await readTensors(folder, parityCase.weights);
  const tensors = await readTensors(folder, parityCase.tensors);
  const values = new Map([...weights].map(([name, tensor]) => [name, toValue(tensor)]));
  using table = system.parity(parityCase, values, await openDevice(device));
  for (const check of checks) yield await runCheck(check, tensors, table, parityCase.checks);
}
