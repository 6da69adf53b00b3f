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

/** What a case says and cannot mean. */
export const badCase = (message: string, path: string): NextxError =>
  new NextxError("PARITY_BAD_CASE", message, { path });

/** An argument of a check, a number: `absent` where the case leaves it out. @throws NextxError PARITY_BAD_CASE */
export function numberArg({ args }: Pick<ParityInputs, "args">, name: string, absent?: number): number {
  const value = args[name] ?? absent;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw badCase(`The argument "${name}" must be a number, got ${JSON.stringify(value)}.`, `args.${name}`);
}

/** An argument of a check, a whole number from `least` on. @throws NextxError PARITY_BAD_CASE */
export function countArg(
  inputs: Pick<ParityInputs, "args">,
  name: string,
  least = 1,
  absent?: number,
): number {
  const value = numberArg(inputs, name, absent);
  if (Number.isInteger(value) && value >= least) return value;
  throw badCase(`The argument "${name}" must be an integer from ${least} on, got ${value}.`, `args.${name}`);
}

/** An argument of a check, a list of whole numbers from 1 to 4,096. @throws NextxError PARITY_BAD_CASE */
export function countsArg({ args }: Pick<ParityInputs, "args">, name: string): number[] {
  const counts = z.array(z.int().min(1).max(4096)).min(1).max(4096).safeParse(args[name]);
  if (counts.success) return counts.data;
  throw badCase(
    `The argument "${name}" must be a list of integers from 1 on, got ${JSON.stringify(args[name])}.`,
    `args.${name}`,
  );
}

/** A size in a config section whose constructor has no default for it. @throws NextxError PARITY_BAD_CASE */
export function sizeKey(section: Readonly<Record<string, unknown>>, name: string, least = 1): number {
  const value = section[name];
  if (typeof value === "number" && Number.isInteger(value) && value >= least) return value;
  throw badCase(`The key "${name}" must be an integer from ${least} on, got ${JSON.stringify(value)}.`, name);
}

/** An input as it is, of the shape the check needs; -1 is any side. @throws NextxError PARITY_BAD_CASE */
export function shapedInput(inputs: ParityInputs, name: string, shape: readonly number[]): Value {
  const value = inputs.tensor(name);
  const fits = value.shape.length === shape.length && shape.every((n, i) => n < 0 || n === value.shape[i]);
  if (fits) return value;
  const expected = shape.map((n) => (n < 0 ? "any" : n));
  throw badCase(`The input "${name}" must be [${expected}], got [${value.shape}].`, `inputs.${name}`);
}

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
    throw badCase(`Configs of the case name each other: ${circle}.`, `config.${name}`);
  }
  const section = z.record(z.string(), z.unknown()).safeParse(config[name]);
  if (!section.success) throw badCase(`The case has no config "${name}".`, `config.${name}`);
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
