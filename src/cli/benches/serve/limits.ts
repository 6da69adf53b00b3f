/** H5: every number of every request has bounds, and what is beyond them is refused at once, with its place. */
import { Agent } from "node:http";
import { z } from "zod";
import { type Goal, percentile, rounded } from "./goal.ts";
import { post, type Target } from "./target.ts";

interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

const documentSchema = z.looseObject({
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.looseObject({
        parameters: z.array(z.looseObject({ name: z.string(), schema: z.unknown() })).optional(),
        requestBody: z
          .looseObject({ content: z.record(z.string(), z.looseObject({ schema: z.unknown() })) })
          .optional(),
      }),
    ),
  ),
});

/** Refusals before time is taken: a server that has just begun still compiles its code. */
const warming = 100;
/** How often every value is tried. */
const rounds = 20;

interface NumberField {
  readonly where: string;
  readonly path: readonly string[];
  readonly low: number | undefined;
  readonly high: number | undefined;
}

/** Every number below a schema. */
function numbersIn(schema: Schema, where: string, path: readonly string[]): NumberField[] {
  const below = [
    ...Object.entries(schema.properties ?? {}).flatMap(([name, one]) =>
      numbersIn(one, where, [...path, name]),
    ),
    ...[...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].flatMap((one) => numbersIn(one, where, path)),
    ...(schema.items ? numbersIn(schema.items, where, [...path, "[]"]) : []),
  ];
  const types = [schema.type ?? []].flat();
  if (!types.includes("number") && !types.includes("integer")) return below;
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  return [{ where, path, low, high }, ...below];
}

/** Numbers of `/v1/generate` that stand at the top of its body, tried beyond both bounds. */
async function refusals(target: Target, fields: readonly NumberField[]) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 }); // one request after the other
  for (let i = 0; i < warming; i++) await post(target, { count: 0 }, agent);
  const took: number[] = [];
  const accepted: string[] = [];
  const tried = fields.flatMap(({ path: [name = ""], low = 0, high = 0 }) =>
    [low - 1, high * 2 + 1, 1e300, -1e300].map((value) => [name, value] as const),
  );
  for (let round = 0; round < rounds; round++) {
    for (const [name, value] of tried) {
      const { ms, status, text } = await post(target, { [name]: value }, agent);
      took.push(ms);
      const param = (JSON.parse(text) as { error?: { param?: string | null } }).error?.param ?? ""; // our own server's
      if (status !== 400 || !param.includes(name)) accepted.push(`${name}=${value}`);
    }
  }
  agent.destroy();
  return { took, accepted };
}

export async function limits(target: Target): Promise<Goal> {
  const { paths } = documentSchema.parse(await (await fetch(`${target.url}openapi.json`)).json());
  const fields = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, { parameters = [], requestBody }]) => {
      const where = `${method} ${path}`;
      return [
        ...parameters.flatMap(({ name, schema }) => numbersIn(schema as Schema, where, [name])), // JSON Schema
        ...Object.values(requestBody?.content ?? {}).flatMap(({ schema }) =>
          numbersIn(schema as Schema, where, []),
        ), // the same
      ];
    }),
  );
  const unbounded = fields.filter(({ low, high }) => low === undefined || high === undefined);
  const tried = fields.filter(
    ({ where, path }) => where === "post /v1/generate" && path.length === 1 && path[0] !== "class",
  );
  const { took, accepted } = await refusals(target, tried);
  const p99 = percentile(took, 0.99);
  return {
    id: "H5",
    text: "every number of every request has two bounds; beyond them 400 with the place, in under 5 ms",
    holds:
      fields.length > 0 && unbounded.length === 0 && tried.length > 0 && accepted.length === 0 && p99 < 5,
    figures: {
      numbers: fields.length,
      withoutBounds: unbounded.map(({ where, path }) => `${where} ${path.join(".")}`).join("; ") || "none",
      tried: took.length,
      notRefused: accepted.join("; ") || "none",
      medianMs: rounded(percentile(took, 0.5)),
      p99Ms: rounded(p99),
    },
  };
}
