/** The models that ship: whole, described by their cards, as good as the cards say, the same bytes every time. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decodeGraph, reconstructGraph, tokenizeGraph } from "../src/codec/multiScalePrograms.ts";
import { floatToImages, imagesToFloat } from "../src/data/pixels.ts";
import { createSynth } from "../src/data/synth/synth.ts";
import { load } from "../src/load.node.ts";
import { findModel, packageRoot, shippedModels } from "../src/models.node.ts";
import { samplePicture } from "../src/picture.ts";
import { openCpu } from "../src/runtime/device.node.ts";
import { compile } from "../src/runtime/program.ts";
import { floats, ints } from "../src/runtime/values.ts";
import { buildVar, varModelSchema } from "../src/systems/var/varModel.ts";

const models = shippedModels();

it("some ship", () => expect(models.map(({ name }) => name)).toContain("synth-32"));

it.each([
  ["var", "synth-32"],
  ["sar", "sar-synth-32"],
])("%s means %s: the model of its default recipe, of its own name where one has it", async (id, name) => {
  expect((await findModel(id)).name).toBe(name);
});

describe.each(models)("$name", ({ name, path, card }) => {
  it("is whole, small, and has a card with recipe, curves and figures", async () => {
    const found = await findModel(name);
    expect(found.sha256).toBe(card.sha256);
    expect(statSync(path).size).toBeLessThan(4.5 * 2 ** 20);
    expect(card).toMatchObject({
      licence: expect.any(String),
      seed: expect.any(Number),
      command: expect.any(String),
    });
    expect(Object.keys(card.stages as object).length).toBeGreaterThan(0);
  });

  it("makes the picture that lies beside it", async () => {
    using model = await load(name);
    const columns = Math.min(8, model.classNames.length);
    const { png } = await samplePicture(model, { count: 4 * columns, columns, seed: 7, scale: 2 }, "0.0.0");
    using again = await load(name);
    const second = await samplePicture(again, { count: 4 * columns, columns, seed: 7, scale: 2 }, "0.0.0");
    expect(Buffer.compare(png, second.png)).toBe(0);
  });
});

describe("the tokenizer of synth-32", () => {
  const count = 256;
  const set = createSynth({ size: 32, split: "test", length: count });
  const pictures = Array.from({ length: count }, (_, i) => set.get(i));

  /** Share of pictures that keep the set's rules after a round trip, with some tokens changed. */
  async function validity(
    change: (ids: Int32Array, length: number, vocabSize: number) => void,
  ): Promise<number> {
    const { description, weights } = await findModel("synth-32");
    const config = varModelSchema.parse(description.config);
    const { tokenizer } = buildVar(config);
    const device = await openCpu({ threads: 2 });
    using tokenize = await compile(tokenizeGraph(tokenizer), { device, weights, prepack: false });
    using reconstruct = await compile(reconstructGraph(tokenizer), { device, weights, prepack: false });
    using decode = await compile(decodeGraph(tokenizer), { device, weights, prepack: false });
    const bytes = Uint8Array.from(pictures.flatMap(({ pixels }) => [...pixels]));
    const { ids } = await tokenize.run({
      images: floats(imagesToFloat(bytes, count, 32), [count, 3, 32, 32]),
    });
    const { length } = tokenizer.plan;
    const changed = Int32Array.from(ids?.data ?? []);
    change(changed, length, config.tokenizer.vocabSize);
    const { reconstructions } = await reconstruct.run({ ids: ints(changed, [count, length]) });
    const maps = reconstructions?.data as Float32Array | undefined;
    if (maps === undefined) throw new Error("no reconstruction");
    const [scales, size] = [
      tokenizer.plan.groups.length,
      config.tokenizer.zChannels * tokenizer.vq.side ** 2,
    ];
    const last = new Float32Array(count * size);
    for (let i = 0; i < count; i++)
      last.set(maps.subarray((i * scales + scales - 1) * size, (i + 1) * scales * size), i * size);
    const shape = [count, config.tokenizer.zChannels, tokenizer.vq.side, tokenizer.vq.side];
    const { images } = await decode.run({ features: floats(last, shape) });
    const out = floatToImages(images?.data as Float32Array, count, 32);
    const good = pictures.filter(({ label }, i) =>
      set.follows?.(out.subarray(i * 3072, (i + 1) * 3072), label),
    );
    return good.length / count;
  }

  it("keeps at least 97 % of pictures valid; one changed coarse token does not", async () => {
    expect(await validity(() => undefined)).toBeGreaterThanOrEqual(0.97);
    // the token of the 1 x 1 scale, then one of the four of the 2 x 2 scale (positions 1 to 4), of every picture
    for (const [start, sites, most] of [
      [0, 1, 0.5],
      [1, 4, 0.75],
    ] as const) {
      const broken = await validity((ids, length, vocabSize) => {
        for (let i = 0; i < count; i++) {
          const at = i * length + start + (i % sites);
          ids[at] = ((ids[at] ?? 0) + vocabSize / 2) % vocabSize;
        }
      });
      expect(broken).toBeLessThan(most);
    }
  }, 120_000);
});

it("the packed files are where the README says", () => {
  const readme = readFileSync(join(packageRoot(), "README.md"), "utf8");
  for (const { name } of models) expect(readme).toContain(name);
});
