/** An exported loop, run by the programs in it with the plain runtime, gives the tokens that sampling gives. */
import { execFile, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exportLoop } from "./exportLoop.node.ts";
import { encodeModel } from "./formats/modelFile.ts";
import { codeOf } from "./formats/testing/hostile.ts";
import { load } from "./load.node.ts";
import { tinyDescription, tinyWeights } from "./systems/sar/testing/tiny.ts";

const folder = mkdtempSync(join(tmpdir(), "nextx-loop-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
/** What a user has who installed the runtime beside the exports. */
symlinkSync(fileURLToPath(new URL("../node_modules", import.meta.url)), join(folder, "node_modules"));

/** Token ids that a program of an export prints, run elsewhere. */
async function printed(program: string, args: readonly string[]): Promise<number[][]> {
  const { stdout } = await promisify(execFile)(program, args, { cwd: tmpdir() });
  return JSON.parse(stdout).ids;
}

const loop = (at: string, ...flags: string[]) => printed(process.execPath, [join(at, "loop.mjs"), ...flags]);

const python = process.env.NEXTX_PYTHON ?? "python3";
const hasPython = spawnSync(python, ["-c", "import numpy, onnxruntime"]).status === 0;
/** For the names of tests: why they are skipped. */
const needsPython = hasPython
  ? ""
  : " (skipped: no Python with onnxruntime and numpy; NEXTX_PYTHON names one)";

const pythonLoop = (at: string, ...flags: string[]) => printed(python, [join(at, "loop.py"), ...flags]);

/** Token ids of the model itself. */
async function sampled(name: string, options: Record<string, unknown>): Promise<number[][]> {
  using model = await load(name);
  let ids: readonly Int32Array[] = [];
  for await (const event of model.sample(options)) ids = event.ids;
  return ids.map((scale) => Array.from(scale));
}

const sar = join(folder, "sar.safetensors");
beforeAll(() =>
  writeFileSync(sar, encodeModel({ description: tinyDescription, weights: tinyWeights() }, "F32")),
);

describe("VAR, as it ships", () => {
  const at = join(folder, "var");
  beforeAll(async () => {
    await exportLoop("synth-32", at);
  });

  it("is graphs without weights, one file of weights, and a manifest", () => {
    const manifest = JSON.parse(readFileSync(join(at, "manifest.json"), "utf8"));
    expect(manifest).toMatchObject({
      format: "nextx-onnx-loop",
      version: 2,
      model: { system: "var" },
      imageSize: 32,
    });
    const weights = statSync(join(at, "weights.safetensors")).size;
    for (const { file } of Object.values<{ file: string }>(manifest.graphs))
      expect(statSync(join(at, file)).size, file).toBeLessThan(weights / 10);
  });

  it("has standard operators only", () => {
    for (const file of readdirSync(at).filter((name) => name.endsWith(".onnx"))) {
      const { graph } = fromBinary(ModelProtoSchema, readFileSync(join(at, file)));
      const foreign = graph?.node.filter(({ domain }) => domain !== "").map(({ opType }) => opType);
      expect(foreign, file).toEqual([]);
    }
  });

  it.each([
    [
      "guided, filtered",
      { class: [1, 5], seed: 7, cfgScale: 2, topK: 50, topP: 0.9 },
      ["--class=1,5", "--seed=7", "--cfg-scale=2", "--top-k=50", "--top-p=0.9"],
    ],
    [
      "without guidance, all codes, a later picture",
      { class: 3, seed: 2 ** 40 + 3, first: 4, cfgScale: 0, topP: 1, temperature: 0.7 },
      ["--class=3", `--seed=${2 ** 40 + 3}`, "--first=4", "--cfg-scale=0", "--top-p=1", "--temperature=0.7"],
    ],
    ["greedy", { class: 2, temperature: 0 }, ["--class=2", "--temperature=0"]],
    ["as the model's card says", { class: 0, seed: 1 }, ["--class=0", "--seed=1"]],
  ])("%s: the same tokens", async (_, options, flags) => {
    const picture = join(folder, "p.ppm");
    const ids = await loop(at, ...flags, "--out", picture);
    expect(ids).toEqual(await sampled("synth-32", options));
    expect(readFileSync(picture).length).toBe(13 + 32 * 32 * 3);
  });

  it.skipIf(!hasPython).each([
    ["greedy", ["--class=2,4", "--temperature=0"]],
    ["without guidance", ["--class=2", "--temperature=0", "--cfg-scale=0"]],
    ["drawn", ["--class=1,5", "--seed=7", "--cfg-scale=2", "--top-k=50", "--top-p=0.9"]],
    [
      "a later picture, other temperature",
      ["--class=3", `--seed=${2 ** 40 + 3}`, "--first=4", "--temperature=0.7"],
    ],
  ])(`in Python, %s: the same tokens and picture${needsPython}`, async (_, flags) => {
    const pictures = ["node.ppm", "python.ppm"].map((name) => join(folder, name));
    const [ours = "", theirs = ""] = pictures;
    const ids = await loop(at, ...flags, "--out", ours);
    expect(await pythonLoop(at, ...flags, "--out", theirs)).toEqual(ids);
    const [a, b] = [readFileSync(ours), readFileSync(theirs)];
    expect(b.length).toBe(a.length);
    expect(Math.max(...a.map((byte, i) => Math.abs(byte - (b[i] as number))))).toBeLessThanOrEqual(1); // as long
  });
});

describe("SAR", () => {
  it.each([
    ["its own schedule", {}, []],
    [
      "another schedule, constant guidance",
      { schedule: [1, 3, 4, 5], guidance: "constant" },
      ["--cfg-scale=2.5"],
    ],
  ])("%s", async (name, settings, flags) => {
    const at = join(folder, name.slice(0, 3));
    await exportLoop(sar, at, { settings });
    const more = flags.length > 0 ? { cfgScale: 2.5 } : {};
    const ids = await loop(at, "--class=0,2", "--seed=5", ...flags);
    expect(ids).toEqual(await sampled(sar, { class: [0, 2], seed: 5, ...settings, ...more }));
  });

  it.skipIf(!hasPython)(`in Python: the same tokens${needsPython}`, async () => {
    const at = join(folder, "sar-python");
    await exportLoop(sar, at);
    const flags = ["--class=0,2", "--temperature=0"];
    expect(await pythonLoop(at, ...flags)).toEqual(await loop(at, ...flags));
  });
});

it("refuses settings that the loop does not have", async () => {
  const work = exportLoop("synth-32", join(folder, "smooth"), { settings: { smooth: true } });
  await expect(work).rejects.toMatchObject({ code: "CONFIG_BAD_VALUE", path: "sampling.smooth" });
});

it("leaves nothing when it is stopped", async () => {
  const at = join(folder, "stopped");
  let asked = 0;
  for (const times of [0, 1, 5, 60]) {
    asked = 0;
    const signal = {
      get aborted() {
        return asked++ >= times;
      },
    };
    const work = () => exportLoop(sar, at, { signal: signal as AbortSignal });
    expect(await codeOf(work), `asked ${times} times`).toBe("ABORTED");
    expect(readdirSync(folder).filter((name) => name.startsWith("stopped"))).toEqual([]);
  }
});

it("replaces only what it made", async () => {
  const at = join(folder, "mine");
  await exportLoop(sar, at);
  expect(await codeOf(() => exportLoop(sar, at))).toBe("FILE_EXISTS");
  await exportLoop(sar, at, { force: true });
  expect(existsSync(join(at, "manifest.json"))).toBe(true);
  writeFileSync(join(folder, "notes.txt"), "mine");
  expect(await codeOf(() => exportLoop(sar, folder, { force: true }))).toBe("FILE_EXISTS");
  expect(existsSync(join(folder, "notes.txt"))).toBe(true);
});

it("keeps what it would replace until the new one stands, and names what failed", async () => {
  const at = join(folder, "kept");
  await exportLoop(sar, at);
  const before = readFileSync(join(at, "manifest.json"), "utf8");
  const beside = () => readdirSync(folder).filter((name) => name.startsWith("kept."));
  /** Takes the new folder away once a file of this name is in it. */
  const losing = (file: string) => ({
    get aborted() {
      for (const name of beside()) {
        if (existsSync(join(folder, name, file))) rmSync(join(folder, name), { recursive: true });
      }
      return false;
    },
  });
  for (const file of ["weights.safetensors", "loop.py"]) {
    const work = () => exportLoop(sar, at, { force: true, signal: losing(file) as AbortSignal });
    expect(await codeOf(work), file).toBe("FILE_NOT_FOUND");
    expect(readFileSync(join(at, "manifest.json"), "utf8")).toBe(before);
    expect(beside()).toEqual([]);
  }
});
