/** All systems, by id. */
import { suggestion } from "../formats/suggest.ts";
import type { SeriesSystem } from "../regimen/seriesSystem.ts";
import type { ImageSystem, System } from "../regimen/system.ts";
import { NextxError } from "../tensor/errors.ts";
import { autoformerSystem } from "./autoformer/system.ts";
import { flowArSystem } from "./flowar/system.ts";
import { hmarSystem } from "./hmar/system.ts";
import { narSystem } from "./nar/system.ts";
import { sarSystem } from "./sar/system.ts";
import { spacetimeSystem } from "./spacetime/system.ts";
import { varSystem } from "./var/system.ts";
import { xarSystem } from "./xar/system.ts";

const byId = <S extends System>(systems: readonly S[]): ReadonlyMap<string, S> =>
  new Map(systems.map((system) => [system.id, system]));

/** Systems that make pictures. */
export const imageSystems = byId<ImageSystem>([
  varSystem,
  sarSystem,
  hmarSystem,
  narSystem,
  flowArSystem,
  xarSystem,
]);

/** Systems that forecast series. */
export const seriesSystems = byId<SeriesSystem>([autoformerSystem, spacetimeSystem]);

/** Every system, whatever it makes. */
export const systems: ReadonlyMap<string, System> = new Map<string, System>([
  ...imageSystems,
  ...seriesSystems,
]);

/** A system of a kind by its id. @throws NextxError SYSTEM_UNKNOWN, SYSTEM_OTHER_TASK for one of another kind */
export function systemIn<S extends System>(kind: ReadonlyMap<string, S>, id: string): S {
  const system = kind.get(id);
  if (system) return system;
  const other = systems.get(id);
  if (other) {
    throw new NextxError("SYSTEM_OTHER_TASK", `${other.title} is not made for this.`, {
      path: "system",
      hint: `Systems that are: ${[...kind.keys()].join(", ")}.`,
    });
  }
  throw new NextxError("SYSTEM_UNKNOWN", `There is no system "${id}".`, {
    path: "system",
    hint: suggestion(id, [...kind.keys()]),
  });
}
