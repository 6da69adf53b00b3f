/** A form from the JSON Schema of a recipe: one field per value that can be chosen, under the heading of its group. */

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly enum?: readonly string[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

export interface RecipeField {
  readonly path: readonly string[];
  readonly label: string;
  readonly help: string;
  readonly kind: "number" | "integer" | "switch" | "choice" | "text" | "numbers";
  readonly min: number | undefined;
  readonly max: number | undefined;
  readonly choices: readonly string[];
}

export interface FieldGroup {
  readonly title: string;
  readonly fields: readonly RecipeField[];
}

const words = (name: string): string => {
  const text = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return text.charAt(0).toUpperCase() + text.slice(1);
};

function kindOf({ type, enum: choices, items }: Schema): RecipeField["kind"] | undefined {
  if (choices) return "choice";
  if (type === "number" || type === "integer") return type;
  if (type === "boolean") return "switch";
  if (type === "string") return "text";
  return type === "array" && (items?.type === "integer" || items?.type === "number") ? "numbers" : undefined;
}

/** Groups in the schema's order: the values of an object stand together, objects inside it follow. */
export function recipeGroups(schema: Readonly<Record<string, unknown>>): FieldGroup[] {
  return groupsBelow(schema as Schema, []); // JSON Schema of an object
}

function groupsBelow({ properties = {} }: Schema, path: readonly string[]): FieldGroup[] {
  const fields: RecipeField[] = [];
  const below: FieldGroup[] = [];
  for (const [name, property] of Object.entries(properties)) {
    if (property.properties) below.push(...groupsBelow(property, [...path, name]));
    else if (property.const === undefined) fields.push(...fieldOf(property, [...path, name]));
  }
  const title = path.length === 0 ? "Run" : path.map(words).join(" · ");
  return [...(fields.length > 0 ? [{ title, fields }] : []), ...below];
}

/** What a value may be besides null. */
function ownForm({ anyOf, ...schema }: Schema): Schema {
  const [form, ...others] = (anyOf ?? []).filter(({ type }) => type !== "null");
  return form && others.length === 0 ? { ...form, ...schema } : schema;
}

function fieldOf(asWritten: Schema, path: readonly string[]): RecipeField[] {
  const schema = ownForm(asWritten);
  const kind = kindOf(schema);
  if (kind === undefined) return [];
  const { description: help = "", enum: choices = [] } = schema;
  const min = schema.minimum ?? schema.exclusiveMinimum;
  const max = schema.maximum ?? schema.exclusiveMaximum;
  return [{ path, label: words(path.at(-1) ?? ""), help, kind, min, max, choices }];
}

/** The value at a path; undefined where there is none. */
export function valueAt(tree: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === "object" && at !== null ? (at as Record<string, unknown>)[key] : undefined), // own data
    tree,
  );
}

/** A tree with a value at a path; undefined takes it out, and what it leaves empty. */
export function withValue(
  tree: Readonly<Record<string, unknown>>,
  [key = "", ...rest]: readonly string[],
  value: unknown,
): Record<string, unknown> {
  const below = (tree[key] ?? {}) as Record<string, unknown>; // an object, or to become one
  const next = rest.length === 0 ? value : withValue(below, rest, value);
  const { [key]: _, ...others } = tree;
  const isEmpty = next === undefined || (rest.length > 0 && Object.keys(next as object).length === 0);
  return isEmpty ? others : { ...others, [key]: next };
}

/** Text of a field as a value, undefined where it is empty; or what is wrong with it. */
export function parseField(
  kind: RecipeField["kind"],
  text: string,
): { readonly value: unknown } | { readonly problem: string } {
  if (kind === "text" || kind === "choice") return { value: text };
  const numbers = text
    .split(/[\s,;]+/)
    .filter((part) => part !== "")
    .map(Number);
  if (numbers.length === 0) return { value: undefined };
  if (!numbers.every(Number.isFinite) || (kind !== "numbers" && numbers.length > 1))
    return { problem: kind === "numbers" ? "Numbers, with commas between them." : "A number." };
  return { value: kind === "numbers" ? numbers : numbers[0] };
}

/** A value as text of a field. */
export const fieldText = (value: unknown): string =>
  Array.isArray(value) ? value.join(", ") : value === undefined ? "" : String(value);
