/** Sampling settings of a bench: what was asked for, else what a published size is measured with. */
import { z } from "zod";
import { validate } from "../../formats/validate.ts";
import { systemOf } from "../../model.ts";
import { findModelPlace } from "../../models.node.ts";
import type { Sections } from "../../regimen/officialForm.ts";
import type { ImageSystem } from "../../regimen/system.ts";
import { NextxError } from "../../tensor/errors.ts";
import { type OfficialSize, officialSize, usualModel } from "./benchModel.ts";
import type { BenchFlags } from "./types.ts";

type Settings = Readonly<Record<string, unknown>>;

/** Of the side-by-side with VAR's code: guidance 4, top-k 900, top-p 0.95. */
export const sideBySide: Settings = { cfgScale: 4, topK: 900, topP: 0.95 };

/** The settings of the flag. @throws NextxError CLI_BAD_SETTINGS */
export function parseSettings(text = "{}"): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch (cause) {
    throw new NextxError("CLI_BAD_SETTINGS", `Settings are a JSON object, got ${text}.`, {
      path: "settings",
      cause,
    });
  }
}

/** What a published size is measured with: VAR as beside its authors' code, others as their authors measure. */
export function officialSettings({ system, preset }: OfficialSize): Settings {
  if (system.id === "var") return sideBySide;
  const { sampling = {} } = system.official?.describe(preset.config as Sections) ?? {}; // presets have all sections
  return sampling;
}

/** The system of what is measured. @throws NextxError BENCH_UNKNOWN_SIZE and the codes of findModelPlace */
export async function benchSystem({ model, official }: BenchFlags): Promise<ImageSystem> {
  if (official !== undefined) return officialSize(official).system;
  const { description } = await findModelPlace(model ?? usualModel);
  return systemOf(description.system);
}

/**
 * Settings that the system takes; undefined where its model's own serve.
 * @throws NextxError CLI_BAD_SETTINGS, CONFIG_ codes, and those of benchSystem
 */
export async function benchSettings(flags: BenchFlags): Promise<Settings | undefined> {
  const { settings, official } = flags;
  if (settings === undefined)
    return official === undefined ? undefined : officialSettings(officialSize(official));
  const given = parseSettings(settings);
  validate((await benchSystem(flags)).samplingSchema, given, "settings");
  return given;
}
