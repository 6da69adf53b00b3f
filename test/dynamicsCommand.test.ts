/** `nextx dynamics` as a user runs it, on a shipped model. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";

const bin = fileURLToPath(new URL("../bin/nextx.js", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "nextx-dynamics-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const dynamics = (...args: string[]) =>
  spawnSync(process.execPath, [bin, "dynamics", ...args], { cwd: work, encoding: "utf8" });

describe("nextx dynamics", () => {
  it("prints models side by side, aligned, and writes numbers and plots", () => {
    const { status, stdout } = dynamics("synth-32", "synth-32", "--count", "4", "--out", "lab/one");
    expect(status).toBe(0);
    const lines = stdout.split("\n");
    const top = lines.find((line) => line.startsWith("scale "));
    expect(top).toMatch(/1x1 +2x2 +3x3 +4x4 +6x6 +8x8 +all$/);
    const rows = lines.filter((line) => / -?\d+\.\d+$/.test(line));
    expect(rows.length).toBeGreaterThan(50);
    for (const row of rows) expect(row.length, row).toBe(top?.length);
    const { models } = JSON.parse(readFileSync(join(work, "lab/one/dynamics.json"), "utf8"));
    expect(models).toHaveLength(2);
    expect(models[1]).toEqual(models[0]); // same model, same seed, same numbers
    expect(models[0]).toMatchObject({ count: 4, seed: 0, corruptRate: 0.25, sides: [1, 2, 3, 4, 6, 8] });
    expect(models[0].truePast.loss.overall).toBeGreaterThan(1);
    expect(models[0].truePast.loss.overall).toBeLessThan(4);
    expect(models[0].freeRunning.agreement.scales[0]).toBe(1);
    const page = readFileSync(join(work, "lab/one/dynamics.html"), "utf8");
    expect(page).toContain("<h1>Training dynamics</h1>");
    expect(page.includes(work) || stdout.includes(work)).toBe(false);
  }, 240_000);

  it("gives --json on one line, the same when run again over its own files", () => {
    const args = ["synth-32", "--count", "4", "--corrupt-rate", "1", "--seed", "3", "--json"];
    const first = dynamics(...args, "--out", "lab/two");
    const again = dynamics(...args, "--out", "lab/two");
    expect([first.status, again.status]).toEqual([0, 0]);
    expect(again.stdout).toBe(first.stdout);
    expect(first.stdout.trim().split("\n")).toHaveLength(1);
    const { nextx, models } = JSON.parse(first.stdout);
    expect([nextx, models[0].seed, models[0].corruptRate]).toEqual(["dynamics", 3, 1]);
  }, 240_000);

  it("refuses what it cannot do, before it measures", () => {
    writeFileSync(join(work, "dynamics.html"), "mine");
    const refused: [string[], number, string][] = [
      [["synth-32", "--out", "."], 1, "FILE_EXISTS"],
      [["synth-32", "--schedule", "1,2"], 2, "SCHEDULE_FIXED"],
      [["synth-32", "--corrupt-rate", "2"], 2, "0 to 1"],
    ];
    for (const [args, code, text] of refused) {
      const { status, stderr } = dynamics(...args);
      expect(stderr).toContain(text);
      expect([args, status]).toEqual([args, code]);
    }
    expect(readFileSync(join(work, "dynamics.html"), "utf8")).toBe("mine");
    expect(existsSync(join(work, "dynamics.json"))).toBe(false);
  }, 240_000);
});
