/**
 * What a system gives to be compared with its authors' code: a table from the `run` names of reference cases to the
 * functions that train and sample, and how a case's official configuration is read.
 */
import { z } from "zod";
import type { Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import { validate } from "./validate.ts";

const checkSchema = z.looseObject({
  name: z.string(),
  run: z.string(),
  inputs: z.record(z.string(), z.string()).default({}),
  args: z.record(z.string(), z.unknown()).default({}),
  outputs: z.record(z.string(), z.string()).default({}),
  expected: z.record(z.string(), z.unknown()).optional(),
  atol: z.number().min(0).default(1e-4),
  rtol: z.number().min(0).default(1e-3),
});

export const caseSchema = z.looseObject({
  system: z.string(),
  source: z.looseObject({ repository: z.string(), commit: z.string() }),
  config: z.record(z.string(), z.unknown()),
  weights: z.string(),
  tensors: z.string(),
  checks: z.array(checkSchema).min(1),
});

export type ParityCase = z.infer<typeof caseSchema>;
export type ParityCheck = z.infer<typeof checkSchema>;

/** Inputs of one check, read from the case's tensors. */
export interface ParityInputs {
  tensor(name: string): Value;
  readonly args: Readonly<Record<string, unknown>>;
  /** Output names the check compares: a table may skip what nobody asked for. */
  readonly wanted: readonly string[];
  /** Inputs of the check with this `run` on whose results this one builds: the nearest earlier one, else the first. */
  related(run: string): ParityInputs;
}

export type ParityTable = Readonly<
  Record<string, (inputs: ParityInputs) => Promise<Readonly<Record<string, Value>>>>
>;

/**
 * A config section of a case; `as: X` takes X's keys for those not named.
 * @throws NextxError PARITY_BAD_CASE (no such section, or sections that take from each other in a circle)
 */
export function caseConfig(
  config: Readonly<Record<string, unknown>>,
  name: string,
  above: readonly string[] = [],
): Record<string, unknown> {
  if (above.includes(name)) {
    const circle = [...above, name].join(" as ");
    throw new NextxError("PARITY_BAD_CASE", `Configs of the case name each other: ${circle}.`, {
      path: `config.${name}`,
    });
  }
  const section = z.record(z.string(), z.unknown()).safeParse(config[name]);
  if (!section.success)
    throw new NextxError("PARITY_BAD_CASE", `The case has no config "${name}".`, { path: `config.${name}` });
  const { as, ...own } = section.data;
  return typeof as === "string" ? { ...caseConfig(config, as, [...above, name]), ...own } : own;
}

/** Reads an official config through a schema whose fields carry `official` names; unknown official keys are refused. */
export function fromOfficial<S extends z.ZodObject>(
  schema: S,
  official: Readonly<Record<string, unknown>>,
): z.infer<S> {
  const names = new Map<string, string>();
  for (const [key, field] of Object.entries(schema.shape)) {
    const { official: name } = (field as z.ZodType).meta() ?? {};
    if (typeof name === "string") names.set(name, key);
  }
  const ours = Object.entries(official).map(([name, value]) => {
    const key = names.get(name);
    if (key === undefined)
      throw new NextxError("CONFIG_UNKNOWN_KEY", `Unknown official key "${name}".`, { path: name });
    return [key, value] as const;
  });
  return validate(schema, Object.fromEntries(ours), "config");
}
