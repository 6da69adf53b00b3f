/** Official sizes and checkpoint names, without allocating a weight. */
import { expect, it } from "vitest";
import { parameterCount } from "../../nn/scope.ts";
import type { OfficialTensors } from "../../regimen/officialForm.ts";
import { flowArModelSchema, officialSizes } from "./config.ts";
import { flowArOfficial } from "./official.ts";
import { flowArSystem } from "./system.ts";

const [transformer] = flowArOfficial.parts as [(typeof flowArOfficial.parts)[0]];

/** Parameters of the transformer under official names. */
function specsOf(sizes: object) {
  const config = flowArModelSchema.parse({ tokenizer: {}, transformer: sizes });
  const specs = flowArSystem.parameters({ system: "flowar", config, classNames: [], imageSize: 256 });
  const own = [...specs].filter(([name]) => name.startsWith("flowar."));
  return new Map(own.map(([name, spec]) => [name.slice("flowar.".length), spec]));
}

function fileOf(sizes: object, extra: Readonly<Record<string, number[]>> = {}): OfficialTensors {
  const shapes = new Map<string, readonly number[]>([
    ...[...specsOf(sizes)].map(([name, { shape }]) => [name, shape] as const),
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

it.each([
  ["S", 170],
  ["L", 589],
  ["H", 1900],
] as const)("FlowAR-%s has the published number of parameters", (size, millions) => {
  expect(Math.abs(parameterCount(specsOf(officialSizes[size])) / 1e6 / millions - 1)).toBeLessThan(0.02);
});

it.each(Object.entries(officialSizes))("a file of FlowAR-%s says its configuration", async (_, sizes) => {
  const found = await transformer.recognise(fileOf(sizes));
  const { config, imageSize } = flowArOfficial.describe({
    transformer: found?.section,
    tokenizer: found?.implied?.tokenizer,
  });
  expect(config).toEqual(flowArModelSchema.parse({ tokenizer: {}, transformer: sizes }));
  expect(imageSize).toBe(256);
});

it("heads follow from the angles where a file has them, sides from the number of sites", async () => {
  const angles = { "encoder_blocks.0.attn.rope.freqs": [8], "decoder_blocks.0.attn.rope.freqs": [12] };
  const found = await transformer.recognise(fileOf({ patchNums: [1, 2, 4] }, angles));
  expect(found?.section).toMatchObject({ encoderNumHeads: 24, decoderNumHeads: 16, patchNums: [1, 2, 4] });
  expect(found?.implied).toEqual({ tokenizer: { zChannels: 16, latentSide: 4 } });
  const other = await transformer.recognise(fileOf({ patchNums: [1, 4] }));
  expect(other?.unknown).toMatchObject({ code: "CONVERT_UNKNOWN_SCHEDULE", path: "transformer.patchNums" });
});

it("the names are those of the checkpoints", () => {
  const small = specsOf({ ...officialSizes.S });
  const shapes: Record<string, number[]> = {
    "class_emb.weight": [1001, 768],
    "z_proj.weight": [768, 16],
    "z_proj_ln.weight": [768],
    encoder_pos_embed_learned: [1, 341, 768],
    "encoder_blocks.5.attn.qkv.weight": [2304, 768],
    "encoder_blocks.0.mlp.fc2.weight": [768, 2048],
    "decoder_blocks.5.ada_lin.1.bias": [4608],
    diffusion_pos_embed_learned: [1, 341, 768],
    "flownet.time_embed.mlp.2.weight": [1024, 1024],
    "flownet.res_blocks.1.attn.qkv.weight": [3072, 1024],
    "flownet.res_blocks.0.ada_lin.weight": [6144, 1024],
    "flownet.final_layer.adaLN_modulation.1.weight": [2048, 1024],
    "flownet.final_layer.linear.weight": [16, 1024],
  };
  for (const [name, shape] of Object.entries(shapes)) expect(small.get(name)?.shape, name).toEqual(shape);
  const large = specsOf({ ...officialSizes.L });
  expect(large.get("flownet.res_blocks.11.crossattn.kv.weight")?.shape).toEqual([2048, 1024]);
  expect(large.has("flownet.res_blocks.0.ada_lin.weight")).toBe(false);
  for (const name of [
    "mask",
    "encoder_blocks.0.attn.rope.freqs",
    "flownet.res_blocks.0.crossattn.rope.freqs",
  ])
    expect(transformer.derivable(name)).toBeDefined();
});
