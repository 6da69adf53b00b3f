/** The real binary in temporary folders: training, sampling, reproducing, errors, and kill -9 while training. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodePng } from "../src/formats/png.ts";

const bin = fileURLToPath(new URL("../bin/nextx.js", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "nextx-cli-"));
const run = join(work, "run");
afterAll(() => rmSync(work, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(args: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [bin, ...args], { cwd: work });
  let [out, err] = ["", ""];
  child.stdout.on("data", (data) => {
    out += data;
  });
  child.stderr.on("data", (data) => {
    err += data;
  });
  return { child, ended: new Promise((done) => child.on("close", (code) => done({ code, out, err }))) };
}

const nextx = (...args: string[]): Promise<Ended> => start(args).ended;
const sha = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
const tiny = [
  "--recipe=smoke",
  "--train-tokenizer-steps=24",
  "--train-transformer-steps=24",
  "--checkpoint-every=4",
  "--observe-every=12",
];

beforeAll(async () => {
  const { code, err } = await nextx("train", "var", ...tiny, "--out", run);
  expect(err).not.toContain("error");
  expect(code).toBe(0);
}, 120_000);

describe("train", () => {
  it("leaves a run folder with log, samples, checkpoints, report and model", () => {
    expect(readdirSync(run).sort()).toEqual(
      [
        "1-tokenizer",
        "2-transformer",
        "metrics.jsonl",
        "model.safetensors",
        "report.html",
        "run.json",
      ].sort(),
    );
    const rows = readFileSync(join(run, "2-transformer/metrics.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows.at(-1)).toMatchObject({ step: 24 });
    expect(rows.some((row) => Array.isArray(row.scaleLoss))).toBe(true);
  });

  it("ends in the same weights when it is killed at random moments and resumed", async () => {
    const folder = join(work, "killed");
    let kills = 0;
    for (let attempt = 0; ; attempt++) {
      const { child, ended } = start(["train", "var", ...tiny, "--out", folder, "--json"]);
      const delayMs = 1200 + Math.random() * 2500;
      const timer = attempt < 5 ? setTimeout(() => child.kill("SIGKILL"), delayMs) : undefined;
      const { code, err } = await ended;
      clearTimeout(timer);
      if (code === 0) break;
      kills++;
      expect(code, `exit after ${delayMs} ms: ${err}`).toBe(null); // killed, not failed
    }
    expect(kills).toBeGreaterThan(0);
    expect(sha(join(folder, "model.safetensors"))).toBe(sha(join(run, "model.safetensors")));
    const state = (of: string) => sha(join(of, "2-transformer/checkpoints/step-24/moments.safetensors"));
    expect(state(folder)).toBe(state(run));
    const steps = readFileSync(join(folder, "2-transformer/metrics.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).step);
    expect(new Set(steps.slice(0, -1)).size).toBeGreaterThanOrEqual(steps.length - 3); // no row twice but held-out ones
  }, 240_000);

  it("saves on Ctrl-C and goes on from there", async () => {
    const folder = join(work, "stopped");
    const { child, ended } = start(["train", "var", "--recipe=smoke", "--out", folder, "--json"]);
    let seen = "";
    child.stdout?.on("data", (data) => {
      if (!seen.includes('"kind":"step"') && (seen + data).includes('"kind":"step"')) child.kill("SIGINT");
      seen += data;
    });
    const { code, out } = await ended;
    expect(code).toBe(130);
    const last = JSON.parse(out.trim().split("\n").at(-1) ?? "");
    expect(last).toMatchObject({ kind: "stopped" });
    expect(existsSync(join(folder, `1-tokenizer/checkpoints/step-${last.step}`))).toBe(true);
    expect((await nextx("train", "var", "--recipe=smoke", "--seed=2", "--out", folder)).err).toContain(
      "RUN_CONFIG_DIFFERS",
    );
  }, 60_000);
});

describe("sample and reproduce", () => {
  it("give the same bytes for a seed, and others for another", async () => {
    const sample = (seed: number, out: string) =>
      nextx("sample", run, "--class", "1", "--count", "4", "--seed", String(seed), "--out", out);
    for (const [seed, out] of [
      [7, "a.png"],
      [7, "b.png"],
      [8, "c.png"],
    ] as const)
      expect((await sample(seed, out)).code).toBe(0);
    expect(sha(join(work, "a.png"))).toBe(sha(join(work, "b.png")));
    expect(sha(join(work, "a.png"))).not.toBe(sha(join(work, "c.png")));
    const again = await nextx("reproduce", "a.png", "--model", run, "--out", "d.png");
    expect(again.err).toBe("");
    expect(sha(join(work, "d.png"))).toBe(sha(join(work, "a.png")));
    const text = readFileSync(join(work, "a.png")).toString("latin1");
    expect(text.includes(work)).toBe(false);
  }, 60_000);

  it("an edited picture reproduces from itself", async () => {
    expect((await nextx("sample", run, "--count", "1", "--out", "source.png")).code).toBe(0);
    expect(
      (await nextx("sample", run, "--edit", "source.png", "--count", "2", "--out", "edit.png")).code,
    ).toBe(0);
    expect((await nextx("reproduce", "edit.png", "--model", run, "--out", "edit2.png")).code).toBe(0);
    expect(sha(join(work, "edit.png"))).toBe(sha(join(work, "edit2.png")));
  }, 60_000);

  it("a drawing marks any form, and comes back with the picture", async () => {
    const size = 32;
    const pixels = new Uint8Array(size * size * 3);
    for (let y = 0; y < size; y++) pixels.fill(255, y * size * 3, (y * size + y) * 3); // below the diagonal
    writeFileSync(join(work, "mask.png"), encodePng({ width: size, height: size, pixels }));
    expect((await nextx("sample", run, "--count", "1", "--out", "source.png")).code).toBe(0);
    const edit = ["--edit", "source.png", "--mask", "mask.png"];
    const made = await nextx("sample", run, ...edit, "--out", "drawn.png");
    expect(made.err).toBe("");
    expect((await nextx("reproduce", "drawn.png", "--model", run, "--out", "drawn2.png")).code).toBe(0);
    expect(sha(join(work, "drawn.png"))).toBe(sha(join(work, "drawn2.png")));
    const both = await nextx("sample", run, ...edit, "--box", "0,0,1,1", "--out", "no.png");
    expect(both.err).toContain("EDIT_BAD_MASK");
    expect(both.code).toBe(2);
  }, 60_000);

  it("never replace what nextx did not make", async () => {
    writeFileSync(join(work, "mine.png"), "mine");
    const { code, err } = await nextx("sample", run, "--out", "mine.png");
    expect(code).toBe(1);
    expect(err).toContain("FILE_EXISTS");
    expect(readFileSync(join(work, "mine.png"), "utf8")).toBe("mine");
  });
});

describe("errors", () => {
  it.each([
    [["sampel"], 2, "Did you mean sample?"],
    [["sample", "vra"], 1, 'Did you mean "var"?'],
    [["sample", "."], 1, "MODEL_NOT_FOUND"],
    [["train", "vor"], 2, "SYSTEM_UNKNOWN"],
    [["train", "var", "--recipe", "smok"], 2, 'Did you mean "smoke"?'],
    [["train", "var", "--recipe", "smoke", "--train-tokenizer-stepz", "3"], 2, "--train-tokenizer-steps"],
    [["train", "var", "--recipe", "smoke", "--data-set", "cats"], 2, "DATA_UNKNOWN_SET"],
    [["inspect", "none.safetensors"], 1, "There is no"],
    [["reproduce", "none.png"], 1, "FILE_NOT_FOUND"],
    [["parity", "."], 1, "PARITY_NO_CASE"],
  ])("nextx %j", async (args, code, text) => {
    const ended = await nextx(...args);
    expect(ended.err).toContain(text);
    expect(ended.code).toBe(code);
  });

  it.each([
    [["--top-k", "-1"], "topK"],
    [["--top-p", "1.5"], "topP"],
    [["--temperature", "-1"], "temperature"],
    [["--class", "99"], "LABEL_OUT_OF_RANGE"],
    [["--class", "no such class at all"], "LABEL_UNKNOWN"],
    [["--count", "0"], "integer"],
    [["--seed", "-1"], "integer"],
    [["--cfg-scale", "NaN"], "not a number"],
    [["--box", "0,0,1,1"], "--edit"],
    [["--mask", "a.png"], "--edit"],
    [["--out", "-"], "CLI_NO_STDOUT"],
  ])("nextx sample RUN %j", async (args, text) => {
    const ended = await nextx("sample", run, ...args);
    expect(ended.err).toContain(text);
    expect(ended.code).toBe(2);
  });

  it("--json gives errors as data", async () => {
    const { code, out, err } = await nextx("sample", "vra", "--json");
    expect([code, err]).toEqual([1, ""]);
    expect(JSON.parse(out).error).toMatchObject({ code: "MODEL_NOT_FOUND", path: "vra" });
  });

  it("a damaged model is refused with a reason", async () => {
    const bytes = readFileSync(join(run, "model.safetensors"));
    writeFileSync(join(work, "short.safetensors"), bytes.subarray(0, bytes.length - 3));
    const { code, err } = await nextx("sample", "short.safetensors");
    expect(code).toBe(1);
    expect(err).toMatch(/error SAFETENSORS_/);
  });
});

describe("others", () => {
  it("flags may stand before the model, and their names are those of its system", async () => {
    const { code, err } = await nextx(
      "sample",
      "--seed",
      "3",
      "sar-synth-32",
      "--schedule",
      "1,2,4,8",
      "-c",
      "1",
      "--out",
      "f.png",
    );
    expect({ code, err: err.includes("error") }).toEqual({ code: 0, err: false });
    expect((await nextx("help", "sample")).out).toContain("--outpaint");
    expect((await nextx("sample", "sar-synth-32", "--help")).out).toMatch(
      /--cfg-scale <number>\s+.*\(default:\s+1\)/s,
    );
  });

  it("a wrong command line is data, too, with --json", async () => {
    const { code, out, err } = await nextx("sample", "synth-32", "--topk", "3", "--json");
    expect({ code, err }).toEqual({ code: 2, err: "" });
    expect(JSON.parse(out).error).toMatchObject({
      code: "CLI_USAGE",
      message: expect.stringContaining("--topk"),
    });
  });

  it("a training without its data leaves no folder that refuses the next", async () => {
    const folder = join(work, "no-data");
    const { err } = await nextx("train", "var", ...tiny, "--data-set", "nosuch", "--out", folder);
    expect(err).toContain("DATA_UNKNOWN_SET");
    expect(existsSync(folder)).toBe(false);
  });

  it("a picture is told from what its recipe says, whatever the file is called", async () => {
    await nextx("data", "show", "synth", "--per-class", "1", "--out", "sheet.png");
    cpSync(join(work, "sheet.png"), join(work, "sheet"));
    for (const name of ["sheet.png", "sheet"])
      expect(JSON.parse((await nextx("inspect", name, "--json")).out)).toMatchObject({ kind: "picture" });
  });

  it("list, inspect, doctor and export work", async () => {
    const listed = JSON.parse((await nextx("list", "--json")).out);
    expect(listed.systems[0].id).toBe("var");
    const ids = (rows: { id: string }[]) => rows.map(({ id }) => id);
    expect(ids(listed.forecasters)).toContain("spacetime");
    expect(ids(listed.series)).toContain("etth1");
    expect(JSON.parse((await nextx("inspect", run, "--json")).out)).toMatchObject({
      kind: "run",
      finished: true,
    });
    const model = await nextx("inspect", join(run, "model.safetensors"), "--json");
    expect(JSON.parse(model.out)).toMatchObject({ kind: "model", system: "var", imageSize: 32 });
    expect((await nextx("doctor")).out).toContain("ok   runtime");
    expect((await nextx("export", run, "--graph", "decode", "--out", "decode.onnx")).code).toBe(0);
    expect(existsSync(join(work, "decode.onnx"))).toBe(true);
  }, 60_000);
});
