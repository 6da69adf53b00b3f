/** What a request for pictures means for a model: classes as numbers, settings checked and completed. Nothing is loaded. */
import { suggestion } from "./formats/suggest.ts";
import { validate } from "./formats/validate.ts";
import type { EditRequest, ImageSystem } from "./regimen/system.ts";
import { NextxError } from "./tensor/errors.ts";

/** Which pictures are wanted, and how. */
export interface SampleOptions {
  /** A class by number or name, or one per picture; absent cycles through all classes. */
  readonly class?: number | string | readonly (number | string)[];
  /** Pictures; as many as classes given, else 1. */
  readonly count?: number;
  /** 0 to 2^53 - 1; 0 when absent. The same seed gives the same pictures on the same machine and versions. */
  readonly seed?: number;
  /** Number of the first picture among those of its seed; 0 when absent. `first: 3` makes the fourth picture of a grid. */
  readonly first?: number;
  /** Show every step, not only the last. */
  readonly previews?: boolean;
  readonly edit?: EditRequest;
  readonly signal?: AbortSignal;
  /** Settings of the system (cfgScale, topK, ...). */
  readonly [setting: string]: unknown;
}

/** How pictures were made: everything that `reproduce` needs. */
export interface SampleRecipe {
  readonly nextx: "sample";
  readonly version: 1;
  readonly model: string;
  readonly sha256: string;
  readonly labels: readonly (number | null)[];
  readonly seed: number;
  /** Absent for 0. */
  readonly first?: number;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** What a recipe needs to know about a model. */
export interface SampleSubject {
  /** Name in recipes: no path. */
  readonly name: string;
  readonly sha256: string;
  readonly system: ImageSystem;
  readonly classNames: readonly string[];
  /** Settings that suit the model. */
  readonly sampling: Readonly<Record<string, unknown>>;
}

/** Most pictures of one request. */
const maxCount = 10_000;

/** Number of a class given by number or name. @throws NextxError LABEL_OUT_OF_RANGE, LABEL_UNKNOWN */
export function classNumber(
  { name, classNames }: Pick<SampleSubject, "name" | "classNames">,
  given: number | string,
): number {
  const text = String(given);
  if (/^-?\d+$/.test(text)) {
    const label = Number(text);
    if (label >= 0 && label < classNames.length) return label;
    throw new NextxError(
      "LABEL_OUT_OF_RANGE",
      `${name} has classes 0 to ${classNames.length - 1}, got ${text}.`,
      {
        path: "class",
      },
    );
  }
  const label = classNames.findIndex((className) => className.toLowerCase() === text.toLowerCase());
  if (label >= 0) return label;
  throw new NextxError("LABEL_UNKNOWN", `${name} has no class "${text}".`, {
    path: "class",
    hint: suggestion(text, classNames),
  });
}

function requireInteger(
  value: number,
  from: number,
  to: number,
  path: string,
  code: string,
  what: string,
): void {
  if (Number.isSafeInteger(value) && value >= from && value <= to) return;
  throw new NextxError(code, `${what}, got ${String(value)}.`, { path });
}

/** Checked and completed: what sampling will do. @throws NextxError SAMPLING_BAD_OPTION, RANDOM_BAD_SEED, LABEL_ and CONFIG_ codes */
export function sampleRecipe(subject: SampleSubject, options: SampleOptions = {}): SampleRecipe {
  const { class: given, count, seed = 0, first = 0, previews: _, edit, signal: __, ...settings } = options;
  const classes = given === undefined ? [] : [given].flat();
  const total = count ?? Math.max(1, classes.length);
  requireInteger(total, 1, maxCount, "count", "SAMPLING_BAD_OPTION", `count is 1 to ${maxCount}`);
  const most = Number.MAX_SAFE_INTEGER;
  requireInteger(seed, 0, most, "seed", "RANDOM_BAD_SEED", "A seed is an integer from 0 to 2^53 - 1");
  requireInteger(first, 0, most - maxCount, "first", "SAMPLING_BAD_OPTION", "first is an integer from 0");
  const numbers = classes.map((name) => classNumber(subject, name));
  const labels = Array.from({ length: total }, (_, i) => {
    if (numbers.length > 0) return numbers[i % numbers.length] as number; // at least one
    return edit ? null : (first + i) % subject.classNames.length;
  });
  return {
    nextx: "sample",
    version: 1,
    model: subject.name,
    sha256: subject.sha256,
    labels,
    seed,
    ...(first > 0 && { first }),
    settings: validate(subject.system.samplingSchema, { ...subject.sampling, ...settings }, "sampling"),
  };
}
