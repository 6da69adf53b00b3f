/** `nextx quantize`, `eval --against` and the benches of models, as a user types them. */
import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";

const bin = fileURLToPath(new URL("../bin/nextx.js", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "nextx-quantize-command-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

function nextx(...args: readonly string[]) {
  return spawnSync(process.execPath, [bin, ...args], { cwd: work, encoding: "utf8" });
}
function json(...args: readonly string[]) {
  const { stdout, status } = nextx(...args, "--json");
  return { status, value: JSON.parse(stdout) };
}

describe("nextx quantize", { timeout: 300_000 }, () => {
  it("writes a model that says what it is, samples and reproduces", () => {
    const { status, value } = json(
      "quantize",
      "synth-32",
      "--to",
      "int8",
      "--count",
      "1",
      "--out",
      "small.safetensors",
    );
    expect(status).toBe(0);
    expect(value.layers[0]).toEqual({
      name: expect.any(String),
      kind: "linear",
      shape: expect.any(Array),
      error: expect.any(Number),
      weightError: expect.any(Number),
    });
    expect(json("inspect", "small.safetensors").value).toMatchObject({
      kind: "model",
      quantisation: { kind: "int8", layers: value.layers.length },
      card: { title: expect.stringContaining("(int8)"), data: "synth" },
    });
    expect(nextx("sample", "small.safetensors", "--class", "3", "--out", "a.png").status).toBe(0);
    const again = json("reproduce", "a.png", "--model", "small.safetensors", "--out", "b.png");
    expect(again).toMatchObject({ status: 0, value: { same: true } });
  });

  it("prints the largest errors for people", () => {
    const { stdout, status } = nextx(
      "quantize",
      "synth-32",
      "--to",
      "int4",
      "--count",
      "1",
      "--out",
      "four.safetensors",
    );
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /27 layers as int4, 4 bits; error of their outputs over 1 pictures:\n +\d\.\d\d %/,
    );
    expect(stdout).toMatch(/four\.safetensors: \d\.\d\d MB, 0\.\d\d of/);
  });

  it("replaces nothing that it should not, and names what is wrong", () => {
    const over = json("quantize", "synth-32", "--to", "int8", "--out", "small.safetensors");
    expect(over).toMatchObject({ status: 1, value: { error: { code: "FILE_EXISTS" } } });
    const kind = json("quantize", "synth-32", "--to", "int3", "--out", "x.safetensors");
    expect(kind).toMatchObject({ status: 2, value: { error: { code: "QUANTIZE_UNKNOWN_KIND" } } });
    const twice = json("quantize", "small.safetensors", "--to", "f16", "--out", "x.safetensors");
    expect(twice).toMatchObject({ status: 1, value: { error: { code: "QUANTIZE_ALREADY" } } });
    expect(existsSync(join(work, "x.safetensors"))).toBe(false);
  });
});

describe("nextx bench", { timeout: 300_000 }, () => {
  it("load: packed beside not packed", () => {
    const { status, value } = json("bench", "load", "synth-32", "--steps", "1");
    expect(status).toBe(0);
    expect(value).toMatchObject({ bench: "load", model: "synth-32", readMs: expect.any(Number) });
    expect(value.builds.map(({ graph }: { graph: string }) => graph)).toContain("decode");
  });

  it("sample-once: times of one and eight pictures, peak memory", () => {
    const { status, value } = json("bench", "sample-once", "synth-32", "--steps", "1");
    expect(status).toBe(0);
    expect(value.counts.map(({ pictures }: { pictures: number }) => pictures)).toEqual([1, 8]);
    expect(value.peakBytes).toBeGreaterThanOrEqual(value.peakOneBytes);
    expect(value.peakOneBytes).toBeGreaterThan(5e7);
    expect(value.firstPreviewMs).toBeLessThan(value.firstPictureMs);
  });

  it("names unknown sizes and settings", () => {
    const size = json("bench", "load", "--official", "var-d17");
    expect(size).toMatchObject({ status: 2, value: { error: { code: "BENCH_UNKNOWN_SIZE" } } });
    const settings = json("bench", "sample-once", "synth-32", "--settings", "[1]");
    expect(settings).toMatchObject({ status: 2, value: { error: { code: "CLI_BAD_SETTINGS" } } });
  });

  it("checks settings against the system before any work", () => {
    const topK = ["--settings", '{"topK":900}'];
    for (const what of ["sample", "sample-once"]) {
      const bad = json("bench", what, "synth-32", "--settings", '{"topKay":900}');
      expect(bad).toMatchObject({ status: 2, value: { error: { code: "CONFIG_UNKNOWN_KEY" } } });
    }
    const nowhere = { ...process.env, TMPDIR: join(work, "nowhere") }; // work would fail there
    const args = [bin, "bench", "sample", "--official", "xar-b", ...topK, "--json"];
    const other = spawnSync(process.execPath, args, { env: nowhere, encoding: "utf8" });
    expect(JSON.parse(other.stdout)).toMatchObject({ error: { code: "CONFIG_UNKNOWN_KEY" } });
    expect(other.status).toBe(2);
    const authors = json("bench", "sample", "--official", "sar-d16", "--authors", ".", "--python", "python3");
    expect(authors).toMatchObject({ status: 2, value: { error: { code: "CLI_BENCH_OTHER_AUTHORS" } } });
  });

  it("replaces no file without --force", () => {
    writeFileSync(join(work, "mine.json"), "mine");
    const refused = json("bench", "sample-once", "synth-32", "--steps", "1", "--out", "mine.json");
    expect(refused).toMatchObject({ status: 1, value: { error: { code: "FILE_EXISTS" } } });
    expect(readFileSync(join(work, "mine.json"), "utf8")).toBe("mine");
    const args = ["bench", "sample-once", "synth-32", "--steps", "1", "--out", "mine.json", "--force"];
    expect(json(...args).status).toBe(0);
    expect(JSON.parse(readFileSync(join(work, "mine.json"), "utf8"))).toMatchObject({ bench: "sample-once" });
  });

  it("growth: exponents of time and memory, and the decoder alone", () => {
    const { status, value } = json("bench", "growth", "--trial", "--steps", "1");
    expect(status).toBe(0);
    expect(Object.keys(value.growth)).toEqual(["depth", "tokens", "pictures"]);
    const { points, fits } = value.growth.tokens;
    expect(points.map(({ tokens }: { tokens: number }) => tokens)).toEqual([5, 21]);
    for (const { ms, decoderMs, peakBytes } of points) {
      expect(ms).toBeGreaterThan(0);
      expect(decoderMs).toBeGreaterThan(0);
      expect(peakBytes).toBeGreaterThan(5e7);
    }
    expect(fits.peakBytes).toMatchObject({ exponent: expect.any(Number), standardError: 0 });
  });

  it("stopped, it leaves no temporary folder", async () => {
    const temporary = join(work, "temporary");
    mkdirSync(temporary);
    const left = () => readdirSync(temporary).filter((name) => name.startsWith("nextx-bench-"));
    const child = spawn(process.execPath, [bin, "bench", "quantize", "synth-32", "--json"], {
      env: { ...process.env, TMPDIR: temporary },
    });
    let out = "";
    child.stdout.on("data", (data) => {
      out += data;
    });
    const ended = new Promise((resolve) => child.on("close", resolve));
    while (left().length === 0 && child.exitCode === null) await sleep(20);
    child.kill("SIGINT");
    expect(await ended).toBe(130);
    expect(JSON.parse(out)).toMatchObject({ error: { code: "ABORTED" } });
    expect(left()).toEqual([]);
  });
});
