/** The committed pages are those that results and cards give, and results are those that rows and targets give. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { stalePages } from "../scripts/systemPages.ts";
import { checkClaim, claimIds } from "../src/claim.node.ts";
import type { DynamicsReport } from "../src/evaluate/dynamics/measure.ts";
import { sha256Hex } from "../src/formats/durable.node.ts";
import { findModelPlace } from "../src/models.node.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "results");

it("docs/SYSTEMS.md and docs/systems/ are up to date: node scripts/run.js pages", () => {
  expect(stalePages(root)).toEqual([]);
});

it("every committed result follows from its rows and the code's targets", async () => {
  const ids = claimIds().filter((id) => existsSync(join(folder, `${id}.json`)));
  expect(ids).toEqual(expect.arrayContaining(["var", "sar"]));
  for (const id of ids) {
    for await (const { part, problems } of checkClaim(id, { out: folder })) {
      expect(part).toBe("result");
      expect(problems, id).toEqual([]);
      break; // arms are computed again by `nextx claim <id> --check`
    }
  }
});

it("the measurement of dynamics that ships is of the models that ship", async () => {
  const { models } = JSON.parse(readFileSync(join(folder, "dynamics.json"), "utf8")) as {
    models: readonly DynamicsReport[];
  };
  for (const { model } of models) {
    const { path } = await findModelPlace(model.name);
    expect(sha256Hex(readFileSync(path)), model.name).toBe(model.sha256);
  }
});
