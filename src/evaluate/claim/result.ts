/**
 * `results/<system>.json`: the numbers of a claim, one per seed, with what is needed to trust and redo them. Whether a measure
 * holds, and the verdict, are computed here from target and numbers, when a result is made and again when it is read.
 */
import { z } from "zod";
import { NextxError } from "../../tensor/errors.ts";
import { holds, targetsSchema } from "./target.ts";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

export const measureSchema = z.strictObject({
  name: z.string().min(1),
  unit: z.string(),
  better: z.enum(["lower", "higher"]),
  /** One number per seed (or per size of a sweep), in the protocol's order. */
  system: z.array(z.number()).min(1),
  /** Empty when the target is about the system's own numbers. */
  baseline: z.array(z.number()),
  baselineName: z.string(),
  target: targetsSchema,
  /** Headline measures decide the verdict; the others inform. */
  headline: z.boolean().default(true),
  holds: z.boolean(),
});

/** A plot of a system's page: points of named series. */
const figureSchema = z.strictObject({
  title: z.string().min(1),
  x: z.strictObject({ label: z.string(), scale: z.enum(["linear", "log"]) }),
  y: z.strictObject({ label: z.string(), scale: z.enum(["linear", "log"]) }),
  series: z.array(
    z.strictObject({
      name: z.string(),
      /** Joined by a line, or drawn as dots. */
      line: z.boolean(),
      points: z.array(z.tuple([z.number(), z.number()])).min(1),
    }),
  ),
});
export type ResultFigure = z.infer<typeof figureSchema>;

const fileSchema = z.strictObject({ file: z.string(), sha256 });

export const resultSchema = z.strictObject({
  system: z.string(),
  /** What is claimed, in a sentence or two. */
  statement: z.string().default(""),
  protocol: z.strictObject({
    data: z.string(),
    split: z.string(),
    samples: z.int().min(0),
    features: z.array(z.strictObject({ name: z.string(), sha256 })),
    seeds: z.array(z.int()),
    /** Multiply-adds of one arm's training, counted from the graph. */
    computeFlops: z.number(),
    guidance: z.string(),
  }),
  measures: z.array(measureSchema).min(1),
  verdict: z.enum(["reproduced", "partly", "not reproduced"]),
  notes: z.array(z.string()).default([]),
  figures: z.array(figureSchema).default([]),
  /** Pictures beside the rows. */
  pictures: z.array(fileSchema).default([]),
  provenance: z.strictObject({
    revision: z.string(),
    command: z.string(),
    minutes: z.number(),
    machineClass: z.string(),
    checkpoints: z.array(fileSchema),
  }),
});

export type Measure = z.infer<typeof measureSchema>;
export type Result = z.infer<typeof resultSchema>;
export type Verdict = Result["verdict"];

/** All headline measures hold: reproduced; none: not reproduced; else partly. */
export function verdictOf(measures: readonly Pick<Measure, "headline" | "holds">[]): Verdict {
  const headlines = measures.filter(({ headline }) => headline);
  const good = headlines.filter((measure) => measure.holds).length;
  if (good === 0) return "not reproduced";
  return good === headlines.length ? "reproduced" : "partly";
}

/** Numbers with their judgement. */
export function judge(measures: readonly Omit<Measure, "holds">[]): {
  measures: Measure[];
  verdict: Verdict;
} {
  const judged = measures.map((measure) => ({
    ...measure,
    holds: holds(measure.target, measure.system, measure.baseline),
  }));
  return { measures: judged, verdict: verdictOf(judged) };
}

/** What in a result does not follow from its own numbers; empty when all does. */
export function contradictions(result: Result): string[] {
  const { measures, verdict } = judge(result.measures.map(({ holds: _, ...rest }) => rest));
  const wrong = measures.flatMap((measure, i) =>
    measure.holds === result.measures[i]?.holds
      ? []
      : [`"${measure.name}" ${measure.holds ? "holds" : "does not hold"}, the file says otherwise`],
  );
  if (verdict !== result.verdict)
    wrong.push(`the verdict is "${verdict}", the file says "${result.verdict}"`);
  return wrong;
}

/** A measure computed anew beside the file's: every number within the tolerance (relative), else it is named. */
export function differences(
  result: Result,
  fresh: readonly Pick<Measure, "name" | "system" | "baseline">[],
  tolerance: number,
): string[] {
  const wrong: string[] = [];
  for (const { name, system, baseline } of fresh) {
    const told = result.measures.find((measure) => measure.name === name);
    if (told === undefined) {
      wrong.push(`"${name}" is missing in the file`);
      continue;
    }
    for (const [side, now, then] of [
      ["system", system, told.system],
      ["baseline", baseline, told.baseline],
    ] as const) {
      const isSame =
        now.length === then.length &&
        now.every(
          (value, i) => Math.abs(value - (then[i] as number)) <= tolerance * Math.abs(then[i] as number),
        ); // same length
      if (!isSame) wrong.push(`"${name}" (${side}) is ${now.join(", ")}, the file says ${then.join(", ")}`);
    }
  }
  return wrong;
}

/** Reads a result. @throws NextxError CLAIM_BAD_RESULT */
export function parseResult(text: string, path: string): Result {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new NextxError("CLAIM_BAD_RESULT", `${path} is not JSON.`, { path, cause });
  }
  const parsed = resultSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new NextxError("CLAIM_BAD_RESULT", `${path}: ${issue?.message}`, {
    path: issue?.path.join(".") ?? path,
  });
}
