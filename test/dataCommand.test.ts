/** `nextx data` through the real binary: listing, drawing, and what it says when a set cannot be had. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { decodePng } from "../src/formats/png.ts";

const bin = fileURLToPath(new URL("../bin/nextx.js", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "nextx-data-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `nextx data ...` without NEXTX_DATA. */
function data(...args: string[]): Promise<Ended> {
  const { NEXTX_DATA: _, ...env } = process.env;
  const child = spawn(process.execPath, [bin, "data", ...args], { cwd: work, env });
  let [out, err] = ["", ""];
  child.stdout.on("data", (text) => {
    out += text;
  });
  child.stderr.on("data", (text) => {
    err += text;
  });
  return new Promise((done) => child.on("close", (code) => done({ code, out, err })));
}

const limit = 120_000;

describe("list", () => {
  it("says for every set whether it is there", { timeout: limit }, async () => {
    const root = join(work, "root");
    mkdirSync(join(root, "cifar10"), { recursive: true });
    writeFileSync(join(root, "cifar10", "train-00.png"), "no picture");
    const { code, out } = await data("--data", root, "--json");
    const { sets } = JSON.parse(out) as { sets: { id: string; state: string; figuresOnly: boolean }[] };
    const states = Object.fromEntries(sets.map(({ id, state }) => [id, state]));
    expect(code).toBe(0);
    expect(states).toMatchObject({
      synth: "built in",
      "fashion-mnist": "missing",
      cifar10: "damaged",
      folder: "yours",
    });
    expect(sets.filter(({ figuresOnly }) => figuresOnly).map(({ id }) => id)).toEqual(["cifar10"]);
    const plain = await data();
    expect(plain.out).toContain("No data folder: pass --data or set NEXTX_DATA.");
    expect(plain.out).toContain("nextx data get fashion-mnist");
  });
});

describe("show", () => {
  it("draws a row per class and names the rows", { timeout: limit }, async () => {
    const sheet = join(work, "sheet.png");
    const { code, out } = await data("show", "synth", "--out", sheet, "--per-class", "3", "--json");
    expect(code).toBe(0);
    const { width, height } = decodePng(readFileSync(sheet));
    expect([width, height]).toEqual([3 * 34 + 2, 16 * 34 + 2]);
    expect(JSON.parse(out)).toMatchObject({ set: "synth", size: 32, split: "train", width, height });
    expect(JSON.parse(out).rows).toHaveLength(16);
  });

  it("does not replace a foreign file", { timeout: limit }, async () => {
    const foreign = join(work, "foreign.png");
    writeFileSync(foreign, "mine");
    const { code, err } = await data("show", "synth", "--out", foreign);
    expect([code, err]).toEqual([1, expect.stringContaining("FILE_EXISTS")]);
    expect(readFileSync(foreign, "utf8")).toBe("mine");
  });
});

describe("get", () => {
  it.each([
    [["get", "tiles", "--data-root", "here", "--json"], "DATA_NO_HOME", 1],
    [["get", "tiles", "--json"], "DATA_NO_ROOT", 1],
    [["show", "tiles", "--json"], "DATA_NO_ROOT", 1],
    [["get", "nothing", "--json"], "DATA_UNKNOWN_SET", 2],
  ])("%j is %s", { timeout: limit }, async (args, code, exit) => {
    const ended = await data(...args);
    expect(JSON.parse(ended.out)).toMatchObject({ error: { code, hint: expect.any(String) } });
    expect(ended.code).toBe(exit);
    expect(existsSync(join(work, "here"))).toBe(false);
  });

  it("says that nothing needs to be got", { timeout: limit }, async () => {
    expect(await data("get", "synth")).toMatchObject({ code: 0, out: "synth is drawn on demand.\n" });
  });
});
