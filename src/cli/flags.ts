/**
 * Command-line flags from a config schema: one flag per leaf, named by the leaf's path in kebab-case, with description and
 * default. The schema itself checks the values afterwards; here text becomes numbers, lists and booleans.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { z } from "zod";

interface Leaf {
  readonly path: readonly string[];
  readonly kind: "number" | "boolean" | "text" | "numbers";
  readonly choices: readonly string[] | undefined;
  readonly description: string;
  readonly fallback: unknown;
}

/** What we read of a schema's definition. */
interface Definition {
  readonly type: string;
  readonly innerType?: z.ZodType;
  readonly defaultValue?: unknown;
  readonly shape?: Record<string, z.ZodType>;
  readonly entries?: Record<string, string>;
}

const definitionOf = (schema: z.ZodType) => schema.def as unknown as Definition; // public, but typed per class

function unwrap(schema: z.ZodType): { inner: z.ZodType; fallback: unknown; description: string } {
  let [inner, fallback, description] = [schema, undefined as unknown, schema.description ?? ""];
  for (;;) {
    const { type, innerType, defaultValue } = definitionOf(inner);
    if (innerType === undefined) return { inner, fallback, description };
    if (type === "default") fallback ??= defaultValue;
    inner = innerType;
    description ||= inner.description ?? "";
  }
}

const kinds: Readonly<Record<string, Leaf["kind"]>> = {
  number: "number",
  boolean: "boolean",
  string: "text",
  enum: "text",
  array: "numbers",
};

/** Every leaf of an object schema; literals, which nobody chooses, are left out. */
export function leaves(schema: z.ZodType, path: readonly string[] = []): Leaf[] {
  const { inner, fallback, description } = unwrap(schema);
  const { type, shape, entries } = definitionOf(inner);
  if (type === "object")
    return Object.entries(shape ?? {}).flatMap(([key, field]) => leaves(field, [...path, key]));
  const kind = kinds[type];
  if (kind === undefined) return [];
  return [{ path, kind, choices: entries && Object.values(entries), description, fallback }];
}

const kebab = (text: string): string => text.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const flagName = ({ path }: Leaf): string => path.map(kebab).join("-");
const attribute = (leaf: Leaf): string =>
  flagName(leaf).replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value)) throw new InvalidArgumentError(`"${text}" is not a number.`);
  return value;
}

/** A value of a tree. */
function valueAt(tree: unknown, path: readonly string[]): unknown {
  return path.reduce((at, key) => (at as Readonly<Record<string, unknown>> | undefined)?.[key], tree);
}

/**
 * Adds a flag per leaf. Flags that were not given stay undefined, so that recipes keep their own values: `values` are those
 * that hold then, the schema's defaults where it has none.
 */
export function addSchemaFlags(
  command: Command,
  schema: z.ZodType,
  heading: string,
  values: unknown = {},
): void {
  command.optionsGroup(heading);
  for (const leaf of leaves(schema)) {
    const name = flagName(leaf);
    const value = valueAt(values, leaf.path) ?? leaf.fallback;
    const fallback = value === undefined ? "" : ` (default: ${JSON.stringify(value)})`;
    const text = `${leaf.description}${fallback}`.trim();
    if (leaf.kind === "boolean") {
      command.addOption(new Option(`--${name}`, text));
      command.addOption(new Option(`--no-${name}`).hideHelp().default(undefined));
      continue;
    }
    const option = new Option(`--${name} <${leaf.kind === "numbers" ? "n,n,..." : leaf.kind}>`, text);
    if (leaf.choices) option.choices(leaf.choices);
    if (leaf.kind === "number") option.argParser(parseNumber);
    if (leaf.kind === "numbers") option.argParser((value) => value.split(",").map(parseNumber));
    command.addOption(option);
  }
}

/** The given flags as a tree of the schema's shape; undefined when none was given. */
export function readSchemaFlags(
  schema: z.ZodType,
  options: Readonly<Record<string, unknown>>,
): Record<string, unknown> | undefined {
  const tree: Record<string, unknown> = {};
  for (const leaf of leaves(schema)) {
    const value = options[attribute(leaf)];
    if (value === undefined) continue;
    let at = tree;
    for (const key of leaf.path.slice(0, -1)) {
      at[key] ??= {};
      at = at[key] as Record<string, unknown>; // made one line above
    }
    at[leaf.path.at(-1) as string] = value; // a leaf has a path
  }
  return Object.keys(tree).length > 0 ? tree : undefined;
}
