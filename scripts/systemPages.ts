/**
 * `node scripts/run.js pages [--check]`: docs/SYSTEMS.md and a page per system from results/, models/ and the reference
 * cases; with --check it writes nothing and fails when a committed page is not what would be written.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { claimIds } from "../src/claim.node.ts";
import { parseResult } from "../src/evaluate/claim/result.ts";
import type { DynamicsReport } from "../src/evaluate/dynamics/measure.ts";
import {
  type PageModel,
  type PageSystem,
  systemPages,
  withoutOwnLines,
} from "../src/evaluate/pages/systemPage.ts";
import { shippedModels } from "../src/models.node.ts";
import { systems } from "../src/systems/registry.ts";

/** What a page reads of a card beyond what loading a model needs. */
interface CardStages {
  readonly [stage: string]: {
    readonly steps: number;
    readonly heldOut: Record<string, unknown>;
    readonly curves: { readonly loss: readonly (readonly [number, number])[] };
  };
}

function pageModel({ name, path, card }: ReturnType<typeof shippedModels>[number]): PageModel {
  const { title, data, licence, sha256 } = card;
  const stages = (card.stages ?? {}) as CardStages; // written by ship
  return {
    ...{ name, title, data, licence, sha256, command: String(card.command) },
    sizeBytes: statSync(path).size,
    stages: Object.fromEntries(
      Object.entries(stages).map(([stage, { steps, heldOut, curves }]) => [
        stage,
        { steps, heldOut, loss: curves.loss },
      ]),
    ),
  };
}

/** Source files that a file imports, directly or not. */
function reached(root: string, start: string): Set<string> {
  const seen = new Set<string>();
  const queue = [start];
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (seen.has(file) || !existsSync(join(root, file))) continue;
    seen.add(file);
    for (const [, target = ""] of readFileSync(join(root, file), "utf8").matchAll(/from "(\.[^"]+\.ts)"/g))
      queue.push(posix.normalize(posix.join(posix.dirname(file), target)));
  }
  return seen;
}

/** Lines of a system's folder and of what no other system reaches. */
function ownLines(root: string, id: string): number {
  const others = [...systems.keys()].filter((other) => other !== id);
  const theirs = new Set(others.flatMap((other) => [...reached(root, `src/systems/${other}/system.ts`)]));
  const own = [...reached(root, `src/systems/${id}/system.ts`)].filter((file) => !theirs.has(file));
  return own.reduce(
    (total, file) => total + readFileSync(join(root, file), "utf8").split("\n").length - 1,
    0,
  );
}

function parityChecks(root: string, id: string): number {
  const path = join(root, "test/fixtures/golden", id, "case.json");
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).checks.length : 0;
}

/** Training dynamics that were committed. */
function measuredDynamics(root: string): readonly DynamicsReport[] {
  const path = join(root, "results/dynamics.json");
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).models : []; // our own file
}

function pageSystems(root: string): PageSystem[] {
  const models = shippedModels(join(root, "models"));
  const dynamics = measuredDynamics(root);
  return [...systems.values()].map(({ id, title, source, description }) => {
    const path = join(root, "results", `${id}.json`);
    return {
      ...{ id, title, source, description },
      models: models.filter(({ card }) => card.system === id).map(pageModel),
      parityChecks: parityChecks(root, id),
      ownLines: ownLines(root, id),
      hasClaim: claimIds().includes(id),
      dynamics: dynamics.filter(({ model }) => model.system === id),
      ...(existsSync(path) && { result: parseResult(readFileSync(path, "utf8"), path) }),
    };
  });
}

/** Files below docs/systems/ that the pages do not name. */
function strays(root: string, pages: ReadonlyMap<string, string>): string[] {
  const folder = join(root, "docs/systems");
  const there = existsSync(folder) ? readdirSync(folder).map((name) => `systems/${name}`) : [];
  return there.filter((name) => !pages.has(name));
}

/** Committed pages that are not what would be written, with what is wrong. */
export function stalePages(root: string): string[] {
  const pages = systemPages(pageSystems(root));
  const stale = [...pages].flatMap(([name, text]) => {
    const path = join(root, "docs", name);
    if (!existsSync(path)) return [`docs/${name} is missing`];
    const isSame = withoutOwnLines(readFileSync(path, "utf8")) === withoutOwnLines(text);
    return isSame ? [] : [`docs/${name} is not what results and cards give`];
  });
  return [...stale, ...strays(root, pages).map((name) => `docs/${name} belongs to no page`)];
}

/** Runs the script; returns the exit code. */
export function main(root: string, args: readonly string[]): number {
  if (args.includes("--check")) {
    const stale = stalePages(root);
    for (const line of stale) console.log(line);
    console.log(stale.length > 0 ? "write them: node scripts/run.js pages" : "pages: up to date");
    return stale.length > 0 ? 1 : 0;
  }
  const pages = systemPages(pageSystems(root));
  for (const name of strays(root, pages)) rmSync(join(root, "docs", name));
  for (const [name, text] of pages) {
    const path = join(root, "docs", name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  console.log(`docs: ${pages.size} files`);
  return 0;
}
