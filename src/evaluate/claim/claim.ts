/**
 * A claim of a published system, made measurable: arms that produce rows of numbers, measures that read them, targets as
 * data. Systems, data and feature networks are handed in; whether a target is reached is computed elsewhere, for all alike.
 */
import type { SeriesSource } from "../../data/series/windows.ts";
import type { ImageSet, Split } from "../../data/types.ts";
import type { ModelFile } from "../../formats/modelFile.ts";
import type { ReadWeights } from "../../nn/perceptual.ts";
import type { Device } from "../../runtime/device.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { FeatureExtractor } from "../features/types.ts";
import type { Arm, ArmRow } from "./arms.node.ts";
import type { Measure, Result, ResultFigure } from "./result.ts";

/** A feature network that judges, fixed by the hash of its weights before the first arm runs. */
export interface FeatureIdentity {
  readonly name: string;
  readonly sha256: string;
}

/** The feature networks of a data set: ours first, then the foreign one. */
export interface FeatureNetworks {
  /** The same on every machine, whether the networks are there or not: they belong into definitions of arms. */
  readonly identities: readonly FeatureIdentity[];
  /** One per identity, opened once. @throws NextxError CLAIM_NO_FEATURES, CLAIM_OTHER_FEATURES */
  open(): Promise<readonly FeatureExtractor[]>;
}

/** What a claim may use. */
export interface ClaimSetting {
  readonly device: Device;
  /** A split of a data set. @throws NextxError DATA_ codes */
  openData(set: string, size: number, split: Split): Promise<ImageSet>;
  /** A series data set. @throws NextxError DATA_ codes */
  openSeries(set: string): Promise<SeriesSource>;
  /** A shipped model. @throws NextxError MODEL_ codes */
  model(name: string): Promise<ModelFile & { readonly sha256: string }>;
  features(set: string): FeatureNetworks;
  /** Weights of networks that only judge while a model trains. */
  readonly readWeights: ReadWeights;
  readonly onProgress?: (text: string) => void;
}

/** Rows of finished arms by name. */
export type Rows = ReadonlyMap<string, ArmRow>;

/** One measure: everything but the numbers is data; the numbers are read from rows, without any other source. */
export interface ClaimMeasure extends Omit<Measure, "system" | "baseline" | "holds"> {
  /** Arms whose rows are read. */
  readonly arms: readonly string[];
  numbers(rows: Rows): { readonly system: readonly number[]; readonly baseline?: readonly number[] };
}

export interface Claim {
  /** Id of the system; names results/<system>.json. */
  readonly system: string;
  /** What is claimed, in a sentence or two. */
  readonly statement: string;
  /** In the order in which they need each other. */
  readonly arms: readonly Arm[];
  readonly measures: readonly ClaimMeasure[];
  /** What a reader must know to trust the numbers: simplifications, what was tried. */
  readonly notes: readonly string[];
  protocol(rows: Rows): Result["protocol"];
  /** Plots of the system's page, as data. */
  figures?(rows: Rows): readonly ResultFigure[];
}

/** Composes a claim; opens nothing that only some arms need. */
export type ClaimFactory = (setting: ClaimSetting) => Promise<Claim>;

function cellOf(rows: Rows, arm: string, name: string): number | readonly number[] {
  const row = rows.get(arm);
  if (row === undefined)
    throw new NextxError("CLAIM_MISSING_ARM", `Arm "${arm}" has not run yet.`, { path: arm });
  const value = Object.hasOwn(row.numbers, name) ? row.numbers[name] : undefined;
  if (value !== undefined) return value;
  throw new NextxError("CLAIM_DAMAGED_ARM", `The row of arm "${arm}" has no number "${name}".`, {
    path: `${arm}.${name}`,
    hint: "Remove the row; the arm runs again.",
  });
}

/** A number of an arm's row. @throws NextxError CLAIM_MISSING_ARM, CLAIM_DAMAGED_ARM */
export function numberOf(rows: Rows, arm: string, name: string): number {
  const value = cellOf(rows, arm, name);
  if (typeof value === "number") return value;
  throw new NextxError("CLAIM_DAMAGED_ARM", `"${name}" of arm "${arm}" is a list.`, {
    path: `${arm}.${name}`,
  });
}

/** A list of numbers of an arm's row. @throws NextxError CLAIM_MISSING_ARM, CLAIM_DAMAGED_ARM */
export function numbersOf(rows: Rows, arm: string, name: string): readonly number[] {
  const value = cellOf(rows, arm, name);
  return typeof value === "number" ? [value] : value;
}
