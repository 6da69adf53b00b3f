/**
 * VAR's published checkpoints: `var_d16.pth` ... and `vae_ch160v4096z32.pth`, bare state dicts, or both inside a training
 * checkpoint. Source: `models/var.py`, `models/vqvae.py`, `models/__init__.py` (code).
 */
import { validate } from "../../formats/validate.ts";
import { publishedSides } from "../../plan/publishedSides.ts";
import { officialTransformer, tokenizerSchema } from "../../regimen/multiScaleConfig.ts";
import {
  imageSizeOf,
  levelledDerivable,
  multiScaleTokenizerPart,
  recogniseLevelled,
} from "../../regimen/multiScaleOfficial.ts";
import type { OfficialForm, OfficialPart, OfficialPreset } from "../../regimen/officialForm.ts";
import { transformerPrefix } from "./scaleWise.ts";
import { varModelSchema } from "./varModel.ts";

const transformer: OfficialPart = {
  name: "transformer",
  prefix: transformerPrefix,
  anchor: "lvl_embed.weight",
  recognise: async (tensors) =>
    tensors.names.has("mask_embed.weight") ? undefined : recogniseLevelled(tensors), // HMAR's
  derivable: levelledDerivable,
  summary: ({ depth, embedDim, numClasses, patchNums }) =>
    `VAR transformer, depth ${depth}, width ${embedDim}, ${numClasses} classes, scales ${patchNums ?? "unknown"}`,
};

/** Depth, pixels and parameters of the published models. */
const published: readonly (readonly [depth: number, pixels: 256 | 512, size: string])[] = [
  [16, 256, "310 M"],
  [20, 256, "600 M"],
  [24, 256, "1.0 B"],
  [30, 256, "2.0 B"],
  [36, 512, "2.3 B"],
];

const presets = published.map(([depth, pixels, size]): OfficialPreset => {
  const patchNums = publishedSides[pixels];
  const config = {
    tokenizer: tokenizerSchema.parse({ patchNums }),
    transformer: officialTransformer(depth, patchNums),
  };
  const imageSize = imageSizeOf(config.tokenizer);
  const { numClasses } = config.transformer;
  const description = `${size} parameters, ${imageSize} px, ${numClasses} classes of ImageNet`;
  return { name: `var-d${depth}`, description, config, imageSize, numClasses };
});

/** code: what distances are measured with. */
const sampling = { cfgScale: 1.5, topK: 900, topP: 0.96 };

export const varOfficial: OfficialForm = {
  parts: [transformer, multiScaleTokenizerPart],
  describe(sections) {
    const patchNums = sections.transformer?.patchNums;
    const tokenizerSection = { ...sections.tokenizer, ...(patchNums !== undefined && { patchNums }) };
    const given = { tokenizer: tokenizerSection, transformer: sections.transformer ?? {} };
    const config = validate(varModelSchema, given, "config");
    const { numClasses } = config.transformer;
    return { config, imageSize: imageSizeOf(config.tokenizer), numClasses, sampling };
  },
  presets,
};
