/** The committed pages are those that results and cards give, and results are those that rows and targets give. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { stalePages } from "../scripts/systemPages.ts";
import { checkClaim } from "../src/claim.node.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "results");

it("docs/SYSTEMS.md and docs/systems/ are up to date: node scripts/run.js pages", () => {
  expect(stalePages(root)).toEqual([]);
});

it("every committed result follows from its rows and the code's targets", async () => {
  const ids = existsSync(folder)
    ? readdirSync(folder).flatMap((name) => (name.endsWith(".json") ? [name.slice(0, -5)] : []))
    : [];
  for (const id of ids) {
    for await (const { part, problems } of checkClaim(id, { out: folder })) {
      expect(part).toBe("result");
      expect(problems, id).toEqual([]);
      break; // arms are computed again by `nextx claim <id> --check`
    }
  }
});
