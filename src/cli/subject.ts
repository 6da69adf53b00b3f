/** The model that a command line is about, looked at before its flags are declared: they are its system's. */
import { findModelPlace } from "../models.node.ts";
import type { ImageSystem } from "../regimen/system.ts";
import { imageSystems } from "../systems/registry.ts";
import { NextxError } from "../tensor/errors.ts";

export interface CommandSubject {
  readonly system: ImageSystem;
  /** Settings that hold when no flag is given. */
  readonly sampling: Readonly<Record<string, unknown>>;
}

/**
 * What `name` leads to, which may be a system of which no model ships; the first system where it leads nowhere, which is
 * told when the command runs.
 */
export async function subjectOf(name: string | undefined): Promise<CommandSubject> {
  const [first] = imageSystems.values();
  const found = name === undefined ? undefined : await findModelPlace(name).catch(() => undefined);
  const system = imageSystems.get(found?.description.system ?? name ?? "") ?? first;
  if (system === undefined) throw new NextxError("SYSTEM_UNKNOWN", "No system makes pictures.");
  return { system, sampling: found?.card?.sampling ?? {} };
}
