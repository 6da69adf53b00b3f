/** `nextx demo` as a user runs it: the story of SAR, with pictures. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { decodePng, readPngRecipe } from "../src/formats/png.ts";

const bin = fileURLToPath(new URL("../bin/nextx.js", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "nextx-demo-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const demo = (...args: string[]) =>
  spawnSync(process.execPath, [bin, "demo", "--seconds", "0", "--samples", "12", ...args], {
    cwd: work,
    encoding: "utf8",
  });

describe("nextx demo", () => {
  it("writes a picture with a row per model and says where, and under which setting it measured", () => {
    const { status, stdout } = demo();
    expect(status).toBe(0);
    expect(stdout).toContain("nextx-demo.png");
    expect(stdout).toContain("cfgScale 0");
    expect(stdout).toContain("-5.9 % without guidance");
    const png = readFileSync(join(work, "nextx-demo.png"));
    expect(readPngRecipe(png)).toMatchObject({ nextx: "demo", seed: 7, settings: { cfgScale: 0 } });
    const { width, height } = decodePng(png);
    expect(width).toBeGreaterThan(2 * height); // three rows of eight
  }, 180_000);

  it("gives --json on lines that machines read: the path in an event, no pixels", () => {
    const { status, stdout } = demo("--json", "--out", "mine.png", "--seed", "1");
    expect(status).toBe(0);
    const events = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const drawn = events.filter(({ kind }) => kind === "pictures");
    expect(drawn.map(({ role, path }) => [role, path])).toEqual([
      ["base", "mine.png"],
      ["control", "mine.png"],
      ["refined", "mine.png"],
    ]);
    expect(drawn.every(({ pixels }) => pixels === undefined)).toBe(true);
    expect(events.at(-1)).toMatchObject({ kind: "compared", recorded: expect.closeTo(-0.0593, 3) });
    expect(readPngRecipe(readFileSync(join(work, "mine.png")))).toMatchObject({ seed: 1 });
  }, 180_000);

  it("refuses to replace a file of others before it measures", () => {
    writeFileSync(join(work, "theirs.png"), "theirs");
    const { status, stdout, stderr } = demo("--out", "theirs.png");
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("FILE_EXISTS");
  }, 60_000);
});
