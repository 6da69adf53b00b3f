/** What a model file may say wrongly, for every system that makes pictures. */
import { beforeAll, describe, expect, it } from "vitest";
import type { ImageSet } from "../data/types.ts";
import { codeOf } from "../formats/testing/hostile.ts";
import { openModel } from "../model.ts";
import type { Weights } from "../nn/scope.ts";
import { openCpu } from "../runtime/device.node.ts";
import type { Device } from "../runtime/device.ts";
import { imageSystems } from "../systems/registry.ts";
import type { ModelDescription } from "./system.ts";

let device: Device;
beforeAll(async () => {
  device = await openCpu({ threads: 1 });
});

type Section = Record<string, unknown>;
type Config = Record<"tokenizer" | "transformer", Section>;

/** The model of a system's smallest recipe. */
function smallest(id: string): ModelDescription {
  const system = imageSystems.get(id);
  if (system === undefined) throw new Error(id);
  const recipe = system.recipeSchema.parse(system.recipes.smoke?.recipe);
  const { size } = system.data(recipe);
  const set = { classNames: ["a", "b"], size } as unknown as ImageSet; // what descriptions read of it
  return system.describe(recipe, set);
}

/** Shapes are all that is looked at before something is wrong. */
function weightsOf(description: ModelDescription): Weights {
  const specs = imageSystems.get(description.system)?.parameters(description) ?? new Map();
  return new Map(
    [...specs].map(([name, { shape }]) => [name, { dtype: "float32", shape, data: new Float32Array(0) }]),
  );
}

const open = (description: ModelDescription, weights: Weights) =>
  codeOf(async () => {
    const found = {
      description,
      weights,
      card: undefined,
      name: "m",
      path: "m",
      recipeName: "m",
      sha256: "",
    };
    using _ = await openModel(found, device);
  });

describe.each([...imageSystems.keys()])("%s", (id) => {
  const good = smallest(id);
  const config = good.config as Config;
  const having = (part: keyof Config, fields: Section) => ({
    ...good,
    config: { ...config, [part]: { ...config[part], ...fields } },
  });
  const heads = Object.keys(config.transformer).filter((key) => /heads?$/i.test(key));

  it("opens what is right", async () => {
    expect(await open(good, weightsOf(good))).toBe("ok");
  });

  it.each<[string, ModelDescription, string]>([
    ["nothing", { ...good, config: {} }, "CONFIG_BAD_VALUE"],
    ["a number", { ...good, config: 5 }, "CONFIG_BAD_VALUE"],
    ["an unknown key", having("transformer", { zz: 3 }), "CONFIG_UNKNOWN_KEY"],
    ["heads that do not fit", having("transformer", { [heads[0] ?? ""]: 251 }), "CONFIG_BAD_VALUE"],
    ["groups that do not fit", having("tokenizer", { numGroups: 61 }), "CONFIG_BAD_VALUE"],
  ])("refuses a configuration of %s, whatever is asked of it", async (_, bad, code) => {
    const system = imageSystems.get(id);
    const settings = system?.samplingSchema.parse({}) ?? {};
    expect(await open(bad, new Map())).toBe(code);
    expect(await codeOf(() => system?.open(bad, new Map(), device))).toBe(code);
    expect(await codeOf(() => system?.recipeOf(bad))).toBe(code);
    for (const ask of [
      () => system?.tokensPerPicture?.(bad, settings),
      () => system?.usualRecipe?.(bad),
      () => system?.scaleWise?.(bad, new Map()),
      () => system?.exportLoop?.(bad, new Map(), settings, device),
    ])
      expect(await codeOf(ask)).toMatch(new RegExp(`^(ok|${code})$`)); // ok where a system has no such question
  });

  it.each([1, 8, 65536])("refuses pictures of %i px that it does not make", async (imageSize) => {
    expect(await open({ ...good, imageSize }, weightsOf(good))).toBe("CONFIG_BAD_VALUE");
  });

  it.each([[["a"]], [["a", "b", "c"]], [[]]])("refuses names %j for two classes", async (classNames) => {
    expect(await open({ ...good, classNames }, weightsOf(good))).toBe("CONFIG_BAD_VALUE");
  });
});

it.each(["var", "hmar"])("%s: tokenizer and transformer count the same scales", async (id) => {
  const good = smallest(id);
  const { tokenizer, transformer, ...rest } = good.config as Config;
  const bad = {
    ...good,
    config: { ...rest, tokenizer, transformer: { ...transformer, patchNums: [1, 3, 4] } },
  };
  await expect(imageSystems.get(id)?.open(bad, weightsOf(bad), device)).rejects.toMatchObject({
    code: "CONFIG_BAD_VALUE",
    path: "config.transformer.patchNums",
  });
});

it("flowar: the last scale is the autoencoder's map", async () => {
  const good = smallest("flowar");
  const { tokenizer, transformer } = good.config as Config;
  for (const [fields, path] of [
    [{ patchNums: [1, 2] }, "config.transformer.patchNums"],
    [{ latentWidth: 3 }, "config.transformer.latentWidth"],
  ] as const) {
    const bad = { ...good, config: { tokenizer, transformer: { ...transformer, ...fields } } };
    await expect(imageSystems.get("flowar")?.open(bad, new Map(), device)).rejects.toMatchObject({
      code: "CONFIG_BAD_VALUE",
      path,
    });
  }
});
