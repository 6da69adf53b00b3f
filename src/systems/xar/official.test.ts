/** Official sizes and checkpoint names, without allocating a weight. */
import { expect, it } from "vitest";
import { klOfficial } from "../../regimen/klOfficial.ts";
import type { OfficialTensors } from "../../regimen/officialForm.ts";
import { officialSizes, transformerSchema, xarModelSchema } from "./config.ts";
import { xarOfficial } from "./official.ts";
import { xarSystem } from "./system.ts";

const [transformer] = xarOfficial.parts as [(typeof xarOfficial.parts)[0]];

function specsOf(sizes: object) {
  const config = xarModelSchema.parse({ tokenizer: {}, transformer: transformerSchema.parse(sizes) });
  return xarSystem.parameters({ system: "xar", config, classNames: [], imageSize: 256 });
}

/** A part's tensors under official names. */
function fileOf(
  sizes: object,
  prefix: string,
  extra: Readonly<Record<string, number[]>> = {},
): OfficialTensors {
  const own = [...specsOf(sizes)].filter(([name]) => name.startsWith(prefix));
  const shapes = new Map<string, readonly number[]>([
    ...own.map(([name, { shape }]) => [name.slice(prefix.length), shape] as const),
    ...Object.entries(extra),
  ]);
  return {
    names: new Set(shapes.keys()),
    shape: (name) => shapes.get(name),
    read: async () => {
      throw new Error("shapes say everything");
    },
  };
}

it.each(Object.entries(officialSizes))("a file of xAR-%s says its configuration", async (_, sizes) => {
  const found = await transformer.recognise(fileOf(sizes, "xar."));
  const { config, imageSize } = xarOfficial.describe({
    transformer: found?.section,
    tokenizer: found?.implied?.tokenizer,
  });
  expect(config).toEqual(xarModelSchema.parse({ tokenizer: {}, transformer: sizes }));
  expect(imageSize).toBe(256);
});

it("heads follow from the tables of angles where a file has them", async () => {
  const angles = {
    "encoder_blocks.0.attn.rope.freqs_cos": [256, 32],
    "decoder_blocks.0.attn.rope.freqs_cos": [256, 48],
  };
  const found = await transformer.recognise(fileOf({}, "xar.", angles));
  expect(found?.section).toMatchObject({ encoderNumHeads: 24, decoderNumHeads: 16 });
});

it("the names are those of the checkpoints", () => {
  const specs = specsOf({});
  const shapes: Record<string, number[]> = {
    "class_emb.weight": [1001, 768],
    "time_embed.mlp.0.weight": [768, 256],
    "time_embed.mlp.2.bias": [768],
    "z_proj.weight": [768, 16],
    "z_proj_ln.weight": [768],
    encoder_pos_embed_learned: [1, 256, 768],
    "encoder_blocks.7.attn.qkv.weight": [2304, 768],
    "encoder_blocks.0.attn.proj.bias": [768],
    "encoder_blocks.0.mlp.fc1_g.weight": [2048, 768],
    "encoder_blocks.0.mlp.fc2.weight": [768, 2048],
    "encoder_blocks.0.ada_lin.1.weight": [4608, 768],
    "encoder_norm.weight": [768],
    "decoder_embed.weight": [768, 768],
    decoder_pos_embed_learned: [1, 256, 768],
    "decoder_blocks.7.ada_lin.1.bias": [4608],
    "decoder_norm.weight": [768],
    "pred.weight": [16, 768],
  };
  for (const [name, shape] of Object.entries(shapes))
    expect(specs.get(`xar.${name}`)?.shape, name).toEqual(shape);
  expect([...specs.keys()].filter((name) => name.startsWith("xar."))).toHaveLength(16 * 12 + 16);
});

it("buffers need not be kept", () => {
  for (const name of ["mask", "encoder_blocks.0.attn.rope.freqs", "decoder_blocks.3.attn.rope.freqs_sin"])
    expect(transformer.derivable(name)).toBeDefined();
  expect(transformer.derivable("pred.bias")).toBeUndefined();
});

it("an autoencoder's file says its configuration; other files are not taken for one", async () => {
  const found = await klOfficial.recognise(fileOf({}, "vae."));
  const { config } = xarOfficial.describe({ tokenizer: found?.section, transformer: undefined });
  expect(config).toEqual(xarModelSchema.parse({ tokenizer: {}, transformer: {} }));
  expect(await klOfficial.recognise(fileOf({}, "xar."))).toBeUndefined();
  expect(await transformer.recognise(fileOf({}, "vae."))).toBeUndefined();
});
