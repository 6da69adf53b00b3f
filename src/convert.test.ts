/** Published checkpoints, small, through reading, recognising, converting, loading and sampling. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ConvertFailure, type ConvertOptions, convert } from "./convert.node.ts";
import { type HostTensor, hostTensor } from "./formats/hostTensor.ts";
import { readCheckpoint } from "./formats/readCheckpoint.node.ts";
import { writeSafetensors } from "./formats/safetensors.ts";
import { toValue } from "./formats/tensorValue.ts";
import { codeOf } from "./formats/testing/hostile.ts";
import { partOf, type Tensors, wrapped, writePth } from "./formats/testing/officialFiles.ts";
import { dataOf } from "./heldOut.node.ts";
import { load } from "./load.node.ts";
import { findModel } from "./models.node.ts";
import { initialise, type Weights } from "./nn/scope.ts";
import { officialDropPath, smokeMultiScale } from "./regimen/multiScaleConfig.ts";
import { imageSystems } from "./systems/registry.ts";
import { officialMaxSide } from "./systems/sar/config.ts";
import { tinyConfig as sarConfig } from "./systems/sar/testing/tiny.ts";
import { varModelSchema } from "./systems/var/varModel.ts";
import { NextxError } from "./tensor/errors.ts";
import { RandomStream } from "./tensor/random.ts";

const folder = mkdtempSync(join(tmpdir(), "nextx-convert-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string) => join(folder, name);
const fixture = (name: string) =>
  fileURLToPath(new URL(`../test/fixtures/golden/var/${name}`, import.meta.url));

const sar = imageSystems.get("sar");
const description = { system: "sar", config: sarConfig, classNames: ["a", "b", "c"], imageSize: 16 };
let weights: Weights;
let [transformer, tokenizer]: [Tensors, Tensors] = [new Map(), new Map()];
beforeAll(() => {
  const specs = sar?.parameters(description) ?? new Map();
  weights = initialise(specs, RandomStream.from(5, "test/convert"));
  [transformer, tokenizer] = [partOf(weights, "var."), partOf(weights, "vae.")];
});

/** What the shapes of the tiny SAR do not say. */
const { tokenizer: codes, transformer: own } = sarConfig;
const settings = {
  "tokenizer.numGroups": codes.numGroups,
  "tokenizer.patchSize": codes.patchSize,
  "tokenizer.inChannels": codes.inChannels,
  "tokenizer.latentSide": codes.latentSide,
  "transformer.patchNums": own.patchNums,
  "transformer.sampledSides": own.sampledSides,
};
const buffers = (depth: number, width: number): Tensors =>
  new Map<string, HostTensor>([
    ["attn_bias_for_masking", hostTensor("F32", [1, 1, 2, 2], new Float32Array(4))],
    ...Array.from({ length: depth }, (_, i): [string, HostTensor] => [
      `blocks.${i}.attn.zero_k_bias`,
      hostTensor("F32", [width], new Float32Array(width)),
    ]),
  ]);

describe("VAR's own files", () => {
  it("a .pth and a tokenizer become a model that samples as the same weights do", async () => {
    const all = await readCheckpoint(fixture("weights.safetensors"));
    const vae = new Map(
      [...all].filter(([name]) => name.startsWith("vae.")).map(([n, t]) => [n.slice(4), t]),
    );
    writeFileSync(file("vae.safetensors"), writeSafetensors(vae));
    const out = file("var.safetensors");
    const report = await convert([fixture("weights.pth"), file("vae.safetensors")], out, {
      settings: { "tokenizer.numGroups": 2 },
    });
    expect(report).toMatchObject({ system: "var", isModel: true, absent: [] });
    expect(report.counts).toMatchObject({ missing: 0, unexpected: 0, "wrong shape": 0, renamed: 0 });
    const derivable = report.tensors.filter(({ fate }) => fate === "derivable").map(({ name }) => name);
    expect(derivable).toContain("lvl_1L");
    expect(derivable).toContain("blocks.1.attn.zero_k_bias");
    const found = await findModel(out);
    expect(found.description.imageSize).toBe(64);
    expect(found.card?.sampling).toEqual({ cfgScale: 1.5, topK: 900, topP: 0.96 }); // what its authors measure with
    for (const [name, { data }] of found.weights)
      expect(data, name).toEqual(toValue(all.get(name) as HostTensor).data);
    using model = await load(out);
    expect(model.recipe({ class: 3 }).settings).toMatchObject({ topK: 900 });
    expect(await codeOf(() => dataOf(model))).toBe("EVALUATE_NO_DATA");
    for await (const event of model.sample({ class: 3, seed: 1, topK: 1 }))
      expect(event.pixels).toHaveLength(64 * 64 * 3);
  });

  it("says which of two transformers to take, and takes it", async () => {
    const out = file("two.safetensors");
    const one = { settings: { "tokenizer.numGroups": 2 } };
    expect(await codeOf(() => convert([fixture("weights.safetensors")], out, one))).toBe(
      "CONVERT_KEY_NEEDED",
    );
    const none = { ...one, keys: ["ema"] };
    expect(await codeOf(() => convert([fixture("weights.safetensors")], out, none))).toBe("CONVERT_NO_KEY");
    const report = await convert([fixture("weights.safetensors")], out, {
      ...one,
      keys: ["var"],
      dtype: "F16",
    });
    expect(report.isModel).toBe(true);
    expect(report.counts.used).toBe(0);
    expect(report.inputs[0]?.ignored).toEqual([{ key: "var_shared", tensors: 22 }]);
    const { missing: _, ...there } = report.counts;
    const all = await readCheckpoint(fixture("weights.safetensors"));
    expect(Object.values(there).reduce((a, b) => a + b)).toBe(all.size);
  });
});

describe("a schedule that a file does not say", () => {
  const patchNums = [1, 2, 5, 10, 11]; // 251 tokens, as others of five scales have
  const own = { depth: 1, embedDim: 16, numHeads: 2, numClasses: 2, patchNums };
  const config = varModelSchema.parse({
    tokenizer: { ...smokeMultiScale, patchNums },
    transformer: own,
  });
  const write = () => {
    const specs = imageSystems
      .get("var")
      ?.parameters({ ...{ system: "var", config }, classNames: [], imageSize: 8 });
    const all = initialise(specs ?? new Map(), RandomStream.from(5, "test/convert"));
    writePth(file("five.pth"), { "": partOf(all, "var.") });
    return file("five.pth");
  };

  it("is asked for, and taken from a setting", async () => {
    const path = write();
    const out = file("five.safetensors");
    expect(await codeOf(() => convert([path], out))).toBe("CONVERT_UNKNOWN_SCHEDULE");
    const report = await convert([path], out, { settings: { "transformer.patchNums": patchNums } });
    expect(report).toMatchObject({ system: "var", counts: { "wrong shape": 0, missing: 0 } });
  });
});

describe("levels of another shape than the authors'", () => {
  it("are not read for the schedule", async () => {
    const all = await readCheckpoint(fixture("weights.safetensors"));
    const own = new Map(
      [...all].filter(([name]) => name.startsWith("var.")).map(([n, t]) => [n.slice(4), t]),
    );
    const levels = own.get("lvl_1L") ?? hostTensor("I64", [1, 30], new BigInt64Array(30));
    const length = levels.shape.at(-1) ?? 0;
    own.set("lvl_1L", hostTensor("F32", [2, length], new Float32Array(2 * length)));
    writePth(file("levels.pth"), { "": new Map([...own].filter(([, { dtype }]) => dtype === "F32")) });
    const report = await convert([file("levels.pth")], file("levels.safetensors"));
    expect(report).toMatchObject({ system: "var", isModel: false });
  });
});

describe("SAR's files", () => {
  const converted = async (
    name: string,
    tree: Readonly<Record<string, Tensors>>,
    keys: readonly string[] = [],
  ) => {
    writePth(file(`${name}.pth`), tree);
    writePth(file("FlexVAE.pth"), { model: tokenizer });
    const inputs = [file(`${name}.pth`), file("FlexVAE.pth")];
    return convert(inputs, file(`${name}.safetensors`), { settings, keys });
  };

  it.each<[string, () => Record<string, Tensors>]>([
    ["bare", () => ({ "": transformer })],
    [
      "trained",
      () => ({
        "trainer.var_wo_ddp": transformer,
        optimizer: new Map([["exp_avg", hostTensor("F32", [1], Float32Array.of(1))]]),
      }),
    ],
    ["ddp", () => ({ model: wrapped(transformer, (name) => `module.${name}`) })],
    ["compiled", () => ({ model: wrapped(transformer, (name) => `_orig_mod.${name}`) })],
    [
      "compiledBlocks",
      () => ({
        model: wrapped(transformer, (name) => `module.${name.replace(/^(blocks\.\d+)\./, "$1._orig_mod.")}`),
      }),
    ],
    ["buffers", () => ({ "": new Map([...transformer, ...buffers(own.depth, own.embedDim)]) })],
  ])("%s", async (name, tree) => {
    const report = await converted(name, tree());
    expect(report).toMatchObject({ system: "sar", isModel: true });
    const found = await findModel(file(`${name}.safetensors`));
    expect(found.description).toMatchObject({
      system: "sar",
      config: {
        ...sarConfig,
        transformer: { ...own, dropPathRate: officialDropPath(own.depth), maxSide: officialMaxSide },
      },
      classNames: ["0", "1", "2"],
    });
    expect([...found.weights.keys()].sort()).toEqual([...weights.keys()].sort());
    for (const [key, { data }] of weights) expect(found.weights.get(key)?.data, key).toEqual(data);
  });

  it("averaged weights beside the others", async () => {
    const tree = { model: transformer, ema: transformer };
    expect(await codeOf(() => converted("ema", tree))).toBe("CONVERT_KEY_NEEDED");
    expect((await converted("ema", tree, ["ema"])).parts[0]?.key).toBe("ema");
  });

  it("one part alone keeps its official names, and goes on as an input", async () => {
    writePth(file("t.pth"), { "": transformer });
    const report = await convert([file("t.pth")], file("t.safetensors"), { settings });
    expect(report).toMatchObject({ isModel: false, absent: ["tokenizer"] });
    expect([...(await readCheckpoint(file("t.safetensors"))).keys()].sort()).toEqual(
      [...transformer.keys()].sort(),
    );
    writePth(file("FlexVAE.pth"), { model: tokenizer });
    const whole = await convert([file("t.safetensors"), file("FlexVAE.pth")], file("w.safetensors"), {
      settings,
    });
    expect(whole.isModel).toBe(true);
  });

  it("tells what is missing, unexpected or of another shape, and writes nothing", async () => {
    const broken = new Map(transformer);
    broken.delete("head.bias");
    broken.set("head.extra", hostTensor("F32", [1], Float32Array.of(1)));
    broken.set("word_embed.bias", hostTensor("F32", [1], Float32Array.of(1)));
    broken.set("blocks.0.attn.zero_k_bias", hostTensor("F32", [1], Float32Array.of(1)));
    writePth(file("broken.pth"), { "": broken });
    const failure = await convert([file("broken.pth")], file("broken.safetensors"), { settings }).catch(
      (e) => e,
    );
    expect(failure).toBeInstanceOf(NextxError);
    expect(failure.code).toBe("CONVERT_INCOMPLETE");
    const { report } = failure.cause as ConvertFailure;
    const of = (fate: string) =>
      report.tensors.filter((tensor) => tensor.fate === fate).map(({ name }) => name);
    expect(of("missing")).toEqual(["head.bias"]);
    expect(of("unexpected").sort()).toEqual(["blocks.0.attn.zero_k_bias", "head.extra"]);
    expect(of("wrong shape")).toEqual(["word_embed.bias"]);
    expect(await codeOf(() => findModel(file("broken.safetensors")))).toBe("MODEL_NOT_FOUND");
  });

  it("has no room for integers, whatever their shape", async () => {
    const head = transformer.get("head.weight") as HostTensor;
    const codes = hostTensor("I64", head.shape, new BigInt64Array(head.data.length));
    writePth(file("integers.pth"), { "": new Map([...transformer, ["head.weight", codes]]) });
    const out = file("integers.safetensors");
    const failure = await convert([file("integers.pth")], out, { settings }).catch((e) => e);
    expect(failure).toMatchObject({ code: "CONVERT_INCOMPLETE", path: "head.weight" });
    const { counts, tensors } = (failure.cause as ConvertFailure).report;
    expect(counts).toMatchObject({ "wrong dtype": 1, missing: 0, unexpected: 0, "wrong shape": 0 });
    expect(tensors.find(({ fate }) => fate === "wrong dtype")?.why).toContain("I64");
    expect(existsSync(out)).toBe(false);
  });

  it("refuses two names of one tensor", async () => {
    const twice = new Map([
      ...transformer,
      ["_orig_mod.head.weight", transformer.get("head.weight") as HostTensor],
    ]);
    writePth(file("twice.pth"), { "": twice });
    const failure = await convert([file("twice.pth")], file("twice.safetensors"), { settings }).catch(
      (e) => e,
    );
    expect(failure).toMatchObject({ code: "CHECKPOINT_DUPLICATE_NAME", path: "_orig_mod.head.weight" });
    expect(failure.message).toContain('"head.weight"');
  });

  it("tells of every tensor of the inputs, in groups where many are not taken", async () => {
    const one: Tensors = new Map([["exp_avg", hostTensor("F32", [1], Float32Array.of(1))]]);
    const states = Array.from({ length: 30 }, (_, i) => [`optimizer.${i}`, one] as const);
    const stray: Tensors = new Map([
      ["steps", hostTensor("I64", [1], BigInt64Array.of(1n))],
      ["ema.decay", one.get("exp_avg") as HostTensor],
    ]);
    writePth(file("all.pth"), {
      model: new Map([...wrapped(transformer, (name) => `net.${name}`), ...stray]),
      ...Object.fromEntries(states),
    });
    const { counts, inputs } = await convert([file("all.pth")], file("all.safetensors"), { settings });
    expect(inputs[0]?.ignored).toEqual(
      expect.arrayContaining([
        { key: "model", tensors: 1 },
        { key: "model.ema", tensors: 1 },
        { key: "optimizer", tensors: 30, dicts: 30 },
      ]),
    );
    const { missing, ...there } = counts;
    expect(missing).toBe(0);
    expect(Object.values(there).reduce((a, b) => a + b)).toBe(transformer.size + 2 + 30);
  });

  it("ends between two tensors when it is told to, and leaves nothing behind", async () => {
    writePth(file("stopped.pth"), { "": transformer });
    const controller = new AbortController();
    let written = 0;
    const { signal } = controller;
    const onProgress = () => {
      written++;
      controller.abort();
    };
    const out = file("stopped.safetensors");
    const run = (options: ConvertOptions) =>
      codeOf(() => convert([file("stopped.pth")], out, { settings, ...options }));
    expect(await run({ signal, onProgress })).toBe("ABORTED");
    expect(written).toBe(1);
    expect(await run({ signal: AbortSignal.abort() })).toBe("ABORTED");
    expect(readdirSync(folder).filter((name) => name.startsWith("stopped.safetensors"))).toEqual([]);
  });

  it("refuses what is no model, and parts of different systems", async () => {
    writeFileSync(
      file("x.safetensors"),
      writeSafetensors(new Map([["w", hostTensor("F32", [1], Float32Array.of(1))]])),
    );
    expect(await codeOf(() => convert([file("x.safetensors")], file("y.safetensors")))).toBe(
      "CONVERT_UNKNOWN",
    );
    writePth(file("FlexVAE.pth"), { model: tokenizer });
    const mixed = [fixture("weights.pth"), file("FlexVAE.pth")];
    expect(await codeOf(() => convert(mixed, file("y.safetensors")))).toBe("CONVERT_SYSTEMS");
    const setting = { settings: { ...settings, "tokenizer.numGroup": 1 } };
    expect(await codeOf(() => convert([file("FlexVAE.pth")], file("y.safetensors"), setting))).toBe(
      "CONFIG_UNKNOWN_KEY",
    );
  });
});
