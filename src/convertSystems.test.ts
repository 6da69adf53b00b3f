/** Published checkpoints of systems beside VAR and SAR, small, through converting and sampling; sizes of all that are published. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { convert } from "./convert.node.ts";
import { type HostTensor, hostTensor } from "./formats/hostTensor.ts";
import { readCheckpoint } from "./formats/readCheckpoint.node.ts";
import { writeSafetensors } from "./formats/safetensors.ts";
import { codeOf } from "./formats/testing/hostile.ts";
import { partOf, type Tensors, wrapped, writePth } from "./formats/testing/officialFiles.ts";
import { load } from "./load.node.ts";
import { findModel } from "./models.node.ts";
import { initialise } from "./nn/scope.ts";
import { imageSystems } from "./systems/registry.ts";
import { RandomStream } from "./tensor/random.ts";

const folder = mkdtempSync(join(tmpdir(), "nextx-convert-systems-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string) => join(folder, name);

describe("an autoencoder that several systems share", () => {
  const flowar = imageSystems.get("flowar");
  const config = {
    tokenizer: { zChannels: 2, ch: 4, chMult: [1, 1], numResBlocks: 1, numGroups: 2, latentSide: 2 },
    transformer: {
      ...{ numClasses: 3, patchNums: [1, 2], latentWidth: 2, embedDim: 16, mlpRatio: 3, flowMlpRatio: 3 },
      ...{
        encoderDepth: 1,
        encoderNumHeads: 1,
        decoderDepth: 1,
        decoderNumHeads: 1,
        flowDepth: 1,
        flowWidth: 16,
      },
    },
  };
  const set = { settings: { "tokenizer.numGroups": 2 } };
  beforeAll(() => {
    const description = { system: "flowar", config, classNames: ["a", "b", "c"], imageSize: 4 };
    const specs = flowar?.parameters(description) ?? new Map();
    const all = initialise(specs, RandomStream.from(5, "test/flowar"));
    writeFileSync(file("flow.safetensors"), writeSafetensors(partOf(all, "flowar.")));
    writeFileSync(file("kl.safetensors"), writeSafetensors(partOf(all, "vae.")));
  });

  it("goes with the transformer beside it", async () => {
    const files = [file("flow.safetensors"), file("kl.safetensors")];
    const report = await convert(files, file("flowar.safetensors"), set);
    expect(report).toMatchObject({ system: "flowar", isModel: true });
    using model = await load(file("flowar.safetensors"));
    for await (const event of model.sample({ class: 1, seed: 1, steps: 2 }))
      expect(event.pixels).toHaveLength(4 * 4 * 3);
  });

  it("is a part of the first of them when it is alone", async () => {
    const report = await convert([file("kl.safetensors")], file("part.safetensors"), set);
    expect(report).toMatchObject({ isModel: false, absent: ["transformer"] });
  });
});

describe("HMAR's files", () => {
  const golden = (name: string) =>
    fileURLToPath(new URL(`../test/fixtures/golden/hmar/${name}`, import.meta.url));
  const settings = { "tokenizer.numGroups": 2, "transformer.numHeads": 2 };
  let [stage1, stage2, merged]: [Tensors, Tensors, Tensors] = [new Map(), new Map(), new Map()];
  beforeAll(async () => {
    const all = await readCheckpoint(golden("weights.safetensors"));
    const below = (prefix: string) =>
      new Map([...all].flatMap(([n, t]) => (n.startsWith(prefix) ? [[n.slice(prefix.length), t]] : [])));
    const own = below("mp.");
    stage1 = below("nsp.");
    stage2 = new Map([...stage1, ...own]);
    (stage2 as Map<string, HostTensor>).delete("word_embed.bias"); // stage 2 has a parameter in its place
    // depth 3, of which two layers were trained
    merged = new Map([
      ...[...stage1].map(([name, tensor]): [string, HostTensor] => [
        name
          .replace(/^blocks\.0\./, "base_blocks.0.")
          .replace(/^blocks\.([12])\./, (_, i) => `ns_blocks.${Number(i) - 1}.`)
          .replace(/^(head|head_nm)\./, "ns_$1.")
          .replace("word_embed.bias", "word_embed_bias"),
        tensor,
      ]),
      ...[...own]
        .filter(([name]) => name !== "word_embed_bias")
        .map(([name, tensor]): [string, HostTensor] => [
          name
            .replace(/^blocks\.([12])\./, (_, i) => `mask_blocks.${Number(i) - 1}.`)
            .replace(/^(head|head_nm)\./, "mask_$1."),
          tensor,
        ]),
    ]);
    writeFileSync(file("hmar-vae.safetensors"), writeSafetensors(below("vae.")));
  });
  const pictureOf = async (path: string) => {
    using model = await load(path);
    let pixels = new Uint8Array(0);
    for await (const event of model.sample({ class: 1, seed: 1, temperature: 0, refine: "1/1,3/3,6/6,10" }))
      pixels = Uint8Array.from(event.pixels);
    return pixels;
  };

  it("both stages and the merged model make the same pictures", async () => {
    writePth(file("stage1.pth"), { model: stage1 });
    writePth(file("stage2.pth"), { model: wrapped(stage2, (name) => `module.${name}`) });
    writePth(file("merged.pth"), { "": merged });
    const vae = file("hmar-vae.safetensors");
    const stages = [file("stage1.pth"), file("stage2.pth"), vae];
    const two = await convert(stages, file("stages.safetensors"), { settings });
    expect(two).toMatchObject({ system: "hmar", isModel: true });
    const one = await convert([file("merged.pth"), vae], file("merged.safetensors"), { settings });
    expect(one).toMatchObject({ system: "hmar", isModel: true, counts: { "not taken": 0, missing: 0 } });
    const { description } = await findModel(file("merged.safetensors"));
    expect(description.config).toMatchObject({
      tailLayers: 2,
      transformer: { depth: 3, patchNums: [1, 2, 3, 4] },
    });
    expect(await pictureOf(file("stages.safetensors"))).toEqual(await pictureOf(file("merged.safetensors")));
  });

  it("stage 2 alone is a part of HMAR, and no VAR", async () => {
    writePth(file("stage2.pth"), { "": stage2 });
    const report = await convert([file("stage2.pth")], file("tail.safetensors"), { settings });
    expect(report).toMatchObject({ system: "hmar", isModel: false, absent: ["transformer", "tokenizer"] });
    const inputs = [merged, stage1].map((tensors, i) => {
      writePth(file(`base${i}.pth`), { "": tensors });
      return [file(`base${i}.pth`), file("tail.safetensors"), file("hmar-vae.safetensors")];
    });
    expect(await codeOf(() => convert(inputs[0] ?? [], file("y.safetensors"), { settings }))).toBe(
      "CONVERT_KEY_NEEDED", // the merged model has a tail, too
    );
    expect(await convert(inputs[1] ?? [], file("y.safetensors"), { settings })).toMatchObject({
      isModel: true,
    });
  });

  it("both predictors without a tokenizer stay apart, and go on as an input", async () => {
    writePth(file("both.pth"), { "": merged });
    const vae = file("hmar-vae.safetensors");
    const alone = { settings: { ...settings, "tokenizer.zChannels": 6 } };
    const part = await convert([file("both.pth")], file("both.safetensors"), alone);
    expect(part).toMatchObject({ system: "hmar", isModel: false, absent: ["tokenizer"] });
    const names = [...(await readCheckpoint(file("both.safetensors"))).keys()];
    expect(names).toEqual(expect.arrayContaining(["nsp.head.weight", "mp.head.weight"]));
    const whole = await convert([file("both.safetensors"), vae], file("joined.safetensors"), { settings });
    expect(whole).toMatchObject({ system: "hmar", isModel: true, counts: { missing: 0, "not taken": 0 } });
    await convert([file("both.pth"), vae], file("direct.safetensors"), { settings });
    const [joined, direct] = await Promise.all(
      ["joined", "direct"].map((name) => readCheckpoint(file(`${name}.safetensors`))),
    );
    expect(joined).toEqual(direct);
  });
});

describe("NAR's and LlamaGen's files", () => {
  const nar = imageSystems.get("nar");
  const tokenizer = {
    ...{ vocabSize: 24, codeWidth: 4, zChannels: 6, ch: 4, chMult: [1, 2], numResBlocks: 1, numGroups: 2 },
    latentSide: 3,
  };
  const settings = {
    ...{ "tokenizer.numGroups": 2, "tokenizer.latentSide": 3, "transformer.nHead": 2 },
  };
  it.each([
    ["neighbour", 2],
    ["raster", 3],
  ])("%s", async (order, nLayer) => {
    const config = {
      tokenizer,
      transformer: { numClasses: 3, dim: 16, nLayer, nHead: 2, multipleOf: 16, order },
    };
    const description = { system: "nar", config, classNames: ["a", "b", "c"], imageSize: 6 };
    const all = initialise(nar?.parameters(description) ?? new Map(), RandomStream.from(5, "test/nar"));
    const [pt, vq, out] = ["nar.pth", "vq.pth", `${order}.safetensors`].map(file) as [string, string, string];
    writePth(pt, { model: partOf(all, "nar.") });
    const used = hostTensor("F32", [4], new Float32Array(4));
    writePth(vq, { model: new Map([...partOf(all, "vq."), ["quantize.codebook_used", used]]) });
    expect(await convert([pt, vq], out, { settings })).toMatchObject({ system: "nar", isModel: true });
    const found = await findModel(out);
    expect(found.description).toMatchObject({ imageSize: 6, config });
    for (const [name, { data }] of all) expect(found.weights.get(name)?.data, name).toEqual(data);
    using model = await load(out);
    for await (const event of model.sample({ class: 1, seed: 1 }))
      expect(event.pixels).toHaveLength(6 * 6 * 3);
  });
});

it("a model of nextx is no checkpoint to convert", async () => {
  const model = fileURLToPath(new URL("../models/synth-32/model.safetensors", import.meta.url));
  expect(await codeOf(() => convert([model], file("again.safetensors")))).toBe("CONVERT_IS_MODEL");
});

it.each([
  ["xar", 64],
  ["xar", 80],
  ["flowar", 64],
])("%s of width %i has the feed-forward of its file", async (id, embedDim) => {
  const system = imageSystems.get(id);
  const sizes = { embedDim, encoderDepth: 1, encoderNumHeads: 1, decoderDepth: 1, decoderNumHeads: 1 };
  const flow =
    id === "flowar" ? { patchNums: [1, 2], latentWidth: 2, flowDepth: 1, flowWidth: embedDim } : {};
  const tokenizer = { zChannels: 2, ch: 4, chMult: [1, 1], numResBlocks: 1, numGroups: 2, latentSide: 2 };
  const config = { tokenizer, transformer: { numClasses: 3, ...sizes, ...flow } };
  const description = { system: id, config, classNames: ["a", "b", "c"], imageSize: 4 };
  const specs = [...(system?.parameters(description) ?? [])];
  const part = system?.official?.parts[0];
  const shapes = new Map(
    specs.flatMap(([name, { shape }]) =>
      name.startsWith(`${id}.`) ? [[name.slice(id.length + 1), shape]] : [],
    ),
  );
  const read = () => Promise.reject(new Error("shapes are enough"));
  const tensors = { names: new Set(shapes.keys()), shape: (name: string) => shapes.get(name), read };
  expect((await part?.recognise(tensors))?.section).toMatchObject({ mlpRatio: 4 });
});

describe("published sizes", () => {
  const presets = [...imageSystems.values()].flatMap(({ id, official }) =>
    (official?.presets ?? []).map((preset) => [preset.name, id, preset] as const),
  );
  it.each(presets)(
    "%s builds, and is recognised by its shapes",
    async (_, id, { config, imageSize, numClasses }) => {
      const system = imageSystems.get(id);
      const specs = system?.parameters({ system: id, config, classNames: [], imageSize }) ?? new Map();
      for (const part of system?.official?.parts ?? []) {
        const shapes = new Map(
          [...specs]
            .filter(([name]) => name.startsWith(part.prefix))
            .map(([name, { shape }]) => [name.slice(part.prefix.length), shape]),
        );
        const read = () => Promise.reject(new Error("shapes are enough"));
        const recognised = await part.recognise({
          names: new Set(shapes.keys()),
          shape: (name) => shapes.get(name),
          read,
        });
        expect(recognised).toBeDefined();
        const described = system?.official?.describe({ [part.name]: recognised?.section });
        const wanted = (config as Record<string, Record<string, unknown>>)[part.name] ?? {};
        const got = ((described?.config ?? {}) as Record<string, unknown>)[part.name]; // sections by part
        const { dropPathRate: _a, patchNums: _b, ...rest } = wanted; // rates of training, and the tokenizer's schedule
        if (part.name in (config as object)) expect(got).toMatchObject(rest);
        else expect(config).toMatchObject(recognised?.section ?? {}); // settings outside the sections
        if (part.name === "transformer") expect(described).toMatchObject({ imageSize, numClasses });
      }
    },
  );
});
