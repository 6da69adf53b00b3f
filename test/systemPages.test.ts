/** The committed pages are those that results and cards give. */
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { stalePages } from "../scripts/systemPages.ts";

it("docs/SYSTEMS.md and docs/systems/ are up to date: node scripts/run.js pages", () => {
  expect(stalePages(fileURLToPath(new URL("..", import.meta.url)))).toEqual([]);
});
