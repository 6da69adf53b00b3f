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

/** Whether every word stands somewhere. */
export function matches(system: SystemInfo, words: string): boolean {
  const text = textOf(system);
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
