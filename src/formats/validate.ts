/** One place where schemas meet what users wrote: the first problem, with its path and the nearest known key. */
import type { z } from "zod";
import { NextxError } from "../tensor/errors.ts";
import { nearest } from "./suggest.ts";

/** Keys of the object schema at a path, as far as they can be told. */
function keysAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let current: unknown = schema;
  for (const part of [...path, undefined]) {
    for (let inner = innerOf(current); inner !== undefined; inner = innerOf(inner)) current = inner;
    const { shape } = (current ?? {}) as { shape?: Record<string, unknown> };
    if (part === undefined) return Object.keys(shape ?? {});
    current = shape?.[String(part)];
  }
  return [];
}

/** The schema inside a default or an optional one. */
function innerOf(schema: unknown): unknown {
  const { def } = (schema ?? {}) as { def?: { innerType?: unknown } };
  return def?.innerType;
}

/** @throws NextxError CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE with the path below `name` */
export function validate<S extends z.ZodType>(schema: S, value: unknown, name: string): z.infer<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw validationError(parsed.error.issues, name, schema);
}

/** The first problem as an error: CONFIG_UNKNOWN_KEY, CONFIG_BAD_VALUE. `schema` is asked for near keys. */
export function validationError(
  issues: readonly z.core.$ZodIssue[],
  name: string,
  schema?: z.ZodType,
): NextxError {
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0]; // a typo also misses its key
  const where = issue?.path ?? [];
  const path = [name, ...where].map(String).join(".");
  if (issue?.code === "unrecognized_keys") {
    const [key = ""] = issue.keys;
    const near = schema && nearest(key, keysAt(schema, where));
    return new NextxError("CONFIG_UNKNOWN_KEY", `${path} has no "${key}".`, {
      path: `${path}.${key}`,
      ...(near && { hint: `Did you mean "${near}"?` }),
    });
  }
  return new NextxError("CONFIG_BAD_VALUE", `${path}: ${issue?.message ?? "not valid"}.`, { path });
}
