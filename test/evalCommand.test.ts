/** `nextx eval` through the real binary: what it prints, for people and for machines, and what it refuses. */
import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const bin = fileURLToPath(new URL("../bin/nextx.js", import.meta.url));
const { NEXTX_DATA: _, ...env } = process.env;

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
}

function nextx(...args: string[]): Promise<Ended> {
  return new Promise((done) => {
    const child = execFile(process.execPath, [bin, "eval", ...args], { cwd: tmpdir(), env }, (_, stdout) =>
      done({ status: child.exitCode, stdout }),
    );
  });
}

describe("nextx eval", () => {
  it("writes one line of JSON", { timeout: 120_000 }, async () => {
    const { status, stdout } = await nextx("synth-32", "--count", "16", "--cfg-scale", "2", "--json");
    expect(status).toBe(0);
    expect(stdout.trim().split("\n")).toHaveLength(1);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ count: 16, seed: 0, settings: { cfgScale: 2 }, data: { set: "synth" } });
    expect(report.features[0].frechet).toMatchObject({ realCount: 16, generatedCount: 16 });
    expect(report.reconstruction.psnr).toBeGreaterThan(25);
  });

  it("says what it measured, with errors", { timeout: 120_000 }, async () => {
    const { status, stdout } = await nextx("--floor", "synth", "--count", "16");
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^16 pictures of synth \(test, version synth-1-\w+, 32 px\) against as many others/,
    );
    expect(stdout).toMatch(/rules obeyed by 100\.0 ± 0\.0 %/);
    expect(stdout).toMatch(/Fréchet distance \S+ ± \S+, bias \S+ at this N/);
    expect(stdout).toContain("fewer than 10 samples per feature");
    expect(stdout).toMatch(/right class \S+ ± \S+ %/);
  });

  it.each([
    [[], "CLI_NO_MODEL"],
    [["synth-32", "--floor", "synth"], "CLI_FLOOR_WITHOUT_MODEL"],
    [["synth-32", "--split", "train"], "CLI_BAD_SPLIT"],
  ])("refuses %j with %s", { timeout: 60_000 }, async (args, code) => {
    const { status, stdout } = await nextx(...args, "--json");
    expect(status).toBe(2);
    expect(JSON.parse(stdout).error.code).toBe(code);
  });

  it("says what is missing for data from files", { timeout: 60_000 }, async () => {
    const { status, stdout } = await nextx("--floor", "fashion-mnist", "--json");
    expect(status).toBe(1);
    expect(JSON.parse(stdout).error).toMatchObject({ code: "DATA_NO_ROOT" });
  });
});
