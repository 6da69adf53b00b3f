/** Text search over the catalogue. */
import type { SystemInfo } from "../src/server/protocol.ts";

/** Everything that is written about a system. */
const textOf = ({
  id,
  name,
  next,
  shows,
  description,
  vision,
  parallel,
  published,
  axes,
}: SystemInfo): string =>
  [id, name, next, shows, description, vision?.place, parallel?.place, published, ...Object.values(axes)]
    .join(" ")
    .toLowerCase();

/** What the list can stand under. */
export const orders = {
  lead: "SAR first",
  vision: "vision survey",
  parallel: "parallel-generation survey",
} as const;
export type Order = keyof typeof orders;

export interface Group {
  /** Heading of the survey; empty for a list without any. */
  readonly place: string;
  readonly systems: readonly SystemInfo[];
}

/** Systems under the headings of a survey, by name; those that it does not place stand last. */
export function grouped(systems: readonly SystemInfo[], order: Order): Group[] {
  if (order === "lead") return [{ place: "", systems }];
  const elsewhere = "not in this survey";
  const groups = new Map<string, SystemInfo[]>();
  for (const system of systems) {
    const place = system[order]?.place ?? elsewhere;
    groups.set(place, [...(groups.get(place) ?? []), system]);
  }
  const rank = (place: string) => (place === elsewhere ? 1 : 0);
  return [...groups]
    .map(([place, of]) => ({ place, systems: of }))
    .sort((a, b) => rank(a.place) - rank(b.place) || a.place.localeCompare(b.place, "en"));
}

/** Whether every word stands somewhere. */
export function matches(system: SystemInfo, words: string): boolean {
  const text = textOf(system);
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
