/** `nextx claim` as a user runs it: chosen arms, what is kept, Ctrl-C, a check without a result, wrong words. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";

const bin = fileURLToPath(new URL("../bin/nextx.js", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "nextx-claim-command-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const { NEXTX_DATA: _, ...env } = process.env;

/** Runs the binary; `stopAt` interrupts it, once, when that text was printed. */
function nextx(args: readonly string[], stopAt?: string) {
  const child = spawn(process.execPath, [bin, ...args], { cwd: work, env });
  let [out, err] = ["", ""];
  let isStopped = false;
  child.stdout.on("data", (data) => {
    out += data;
    if (stopAt === undefined || isStopped || !out.includes(stopAt)) return;
    isStopped = child.kill("SIGINT");
  });
  child.stderr.on("data", (data) => {
    err += data;
  });
  return new Promise<{ code: number | null; out: string; err: string }>((done) =>
    child.on("close", (code) => done({ code, out, err })),
  );
}

it("runs chosen arms once, keeps them, and says what is missing", async () => {
  const first = await nextx(["claim", "var", "--arms", "pair-cost"]);
  expect(first.err).toBe("");
  expect(first.out).toContain("finished  pair-cost");
  expect(first.out).toMatch(/arms have not run/);
  const row = JSON.parse(readFileSync(join(work, "results/var/arms/pair-cost.json"), "utf8"));
  expect(row.numbers.var / row.numbers.raster).toBeGreaterThan(2);
  const second = await nextx(["claim", "var", "--arms", "pair-cost", "--json"]);
  const events = second.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(events.map(({ kind }) => kind)).toContain("kept");
  expect(events.at(-1)).toMatchObject({ kind: "measured", measures: [] });
  expect(existsSync(join(work, "results/var.json"))).toBe(false);
}, 120_000);

it("stops at Ctrl-C, between passes, without a half row", async () => {
  const { code, out } = await nextx(["claim", "var", "--arms", "inpainting"], "started   inpainting");
  expect(code).toBe(130);
  expect(out).toContain("continue: nextx claim var");
  expect(existsSync(join(work, "results/var/arms/inpainting.json"))).toBe(false);
}, 120_000);

it.each([
  [["claim", "nothing"], 2, "CLAIM_UNKNOWN"],
  [["claim", "var", "--arms", "sped"], 2, "CLAIM_UNKNOWN_ARM"],
  [["claim", "var", "--check", "--out", "nowhere"], 1, "CLAIM_NO_RESULT"],
])(
  "%j exits with %d and says %s",
  async (args, code, text) => {
    const ended = await nextx(args);
    expect(ended.err).toContain(text);
    expect(ended.code).toBe(code);
  },
  60_000,
);
