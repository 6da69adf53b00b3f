/** `nextx arena` as a user runs it: forecasters in seconds, what is kept, who is chosen, wrong words; and the server's page of it. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { decodeModel } from "../src/formats/modelFile.ts";
import { ArenaShelf } from "../src/server/arena.node.ts";

const bin = fileURLToPath(new URL("../bin/nextx.js", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "nextx-arena-command-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const { NEXTX_DATA: _, ...env } = process.env;
const nextx = (...args: string[]) =>
  spawnSync(process.execPath, [bin, ...args], { cwd: work, env, encoding: "utf8" });

it("trains chosen forecasters, keeps what is there, and says who is missing", () => {
  const first = nextx("arena", "series", "--budget", "0.01", "--only", "dlinear");
  expect(first.status).toBe(0);
  expect(first.stdout).toMatch(/^waves-96 +DLinear +0\.\d+/m);
  expect(first.stdout).toMatch(/one seed \(1\)/);
  expect(first.stdout).toContain("not there yet: forecast-nlinear-waves-96");
  const result = JSON.parse(readFileSync(join(work, "results/arena.json"), "utf8"));
  expect(result.image).toBeNull();
  expect(result.series.provenance.command).toBe("nextx arena series --budget 0.01");
  expect(result.series.entries.map(({ name }: { name: string }) => name).sort()).toEqual([
    "dlinear",
    "naive",
    "seasonal-naive",
  ]);
  const again = nextx("arena", "series", "--budget", "0.01", "--only", "dlinear");
  expect(again.stdout).toContain("kept      forecast-dlinear-waves-96");
  const longer = nextx("arena", "series", "--budget", "0.02", "--only", "dlinear");
  expect(longer.stdout).toContain("finished  forecast-dlinear-waves-96");
}, 120_000);

it.each([
  [["arena", "video"], 2, "Allowed choices are image, series"],
  [["arena", "image", "--only", "vat"], 2, "ARENA_UNKNOWN"],
  [["arena", "series", "--budget", "0"], 2, "a number from 0.01"],
])(
  "%j exits with %d and says %s",
  (args, code, text) => {
    const ended = nextx(...args);
    expect(ended.stderr).toContain(text);
    expect(ended.status).toBe(code);
  },
  60_000,
);

it("a damaged result is told by name, and pictures are found by the names in it alone", async () => {
  const folder = join(work, "damaged");
  mkdirSync(folder);
  writeFileSync(join(folder, "arena.json"), "{");
  await expect(new ArenaShelf(folder).read()).rejects.toMatchObject({ code: "ARENA_BAD_RESULT" });
  const shelf = new ArenaShelf(join(work, "results"));
  await expect(shelf.model("../../secret")).rejects.toMatchObject({ code: "ARENA_UNKNOWN" });
  expect((await shelf.read()).series?.entries.length).toBe(3);
  await expect(shelf.pictures("../../secret")).rejects.toMatchObject({ code: "ARENA_UNKNOWN" });
});

it("a contestant's model is a whole file, with the tokenizer that others share", async () => {
  const shelf = new ArenaShelf();
  const [first] = (await shelf.read()).image?.entries ?? [];
  const { description, weights } = decodeModel(await shelf.model(first?.name ?? ""));
  expect(description.system).toBe(first?.system);
  const names = new Set([...weights.keys()].map((name) => name.split(".")[0]));
  expect(names.size).toBeGreaterThan(1); // tokenizer and transformer
  const bare = join(work, "bare"); // as in the package: figures without weights
  mkdirSync(bare);
  writeFileSync(join(bare, "arena.json"), JSON.stringify(await shelf.read()));
  await expect(new ArenaShelf(bare).model(first?.name ?? "")).rejects.toMatchObject({
    code: "ARENA_UNKNOWN",
  });
});
