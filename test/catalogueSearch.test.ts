import { expect, it } from "vitest";
import { systemSchema } from "../src/server/protocol.ts";
import { listSystems } from "../src/server/systems.node.ts";
import { matches } from "../studio/catalogueSearch.ts";

const systems = await listSystems();

it("lists all 45 systems once, as the protocol says, those that run here first", () => {
  expect(new Set(systems.map(({ id }) => id)).size).toBe(45);
  for (const system of systems) systemSchema.parse(system);
  const runs = systems.map((system) => system.runs);
  expect(runs).toEqual([...runs].sort((a, b) => Number(b) - Number(a)));
  expect(systems[0]?.id).toBe("sar");
});

it("draws plans and masks as the code makes them", () => {
  const [diagram] = systems.find(({ id }) => id === "var")?.diagrams ?? [];
  expect(diagram?.groups).toEqual([1, 4, 9, 16, 36, 64]);
  const flags = Buffer.from(diagram?.hidden ?? "", "base64");
  const isHidden = (query: number, key: number) => {
    const at = query * 130 + key;
    return (((flags[at >> 3] ?? 0) >> (at & 7)) & 1) === 1;
  };
  expect([isHidden(0, 1), isHidden(1, 0), isHidden(1, 4), isHidden(129, 129)]).toEqual([
    true,
    false,
    false,
    false,
  ]);
});

it("finds systems by any words, in any order and case", () => {
  const found = (words: string) => systems.filter((system) => matches(system, words)).map(({ id }) => id);
  expect(found("Flow matching CELL")).toEqual(["xar"]);
  expect(found("")).toHaveLength(45);
  expect(found("companion")).toContain("spacetime");
});
