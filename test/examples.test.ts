/** The examples run as they stand, with this checkout in the package's place. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it, vi } from "vitest";
import * as web from "../src/index.web.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "nextx-examples-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const example = (path: string): string => readFileSync(join(root, "examples", path), "utf8");

it("the program for Node draws, saves and reproduces pictures", async () => {
  const path = join(work, "sample.mjs");
  const program = example("node/sample.mjs")
    .replace('"nextx"', JSON.stringify(join(root, "src/index.node.ts")))
    .replace('"stars.png"', JSON.stringify(join(work, "stars.png")));
  writeFileSync(path, program);
  const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
  await import(path);
  const lines = log.mock.calls.map(([line]) => String(line));
  log.mockRestore();
  expect(lines.slice(0, 6).every((line) => line.startsWith("scale "))).toBe(true);
  expect(lines.slice(6)).toEqual(["stars.png: 4 pictures by sar-synth-32", "reproduced, byte by byte"]);
  expect(statSync(join(work, "stars.png")).size).toBeGreaterThan(1000);
}, 60_000);

it("the worker uses what the web's index has", () => {
  const [, names = ""] = /import \{([^}]+)\} from "nextx\/web"/.exec(example("page/worker.js")) ?? [];
  for (const name of names.split(",")) expect(Object.keys(web)).toContain(name.trim());
});
