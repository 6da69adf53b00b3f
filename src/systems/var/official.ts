/**
 * VAR's published checkpoints: `var_d16.pth` ... and `vae_ch160v4096z32.pth`, bare state dicts, or both inside a training
 * checkpoint. Configurations follow from shapes. Source: `models/var.py`, `models/vqvae.py`, `models/__init__.py` (code).
 */
import { type HostTensor, toInt32 } from "../../formats/hostTensor.ts";
import { validate } from "../../formats/validate.ts";
import { downsampleFactor } from "../../nn/convAutoencoder.ts";
import {
  officialDropPath,
  officialTransformer,
  type TokenizerConfig,
  tokenizerSchema,
} from "../../regimen/multiScaleConfig.ts";
import { tokenizerPrefix } from "../../regimen/multiScaleModel.ts";
import {
  countIndices,
  type Derivable,
  type OfficialForm,
  type OfficialPart,
  type OfficialPreset,
  type OfficialTensors,
} from "../../regimen/officialForm.ts";
import { NextxError } from "../../tensor/errors.ts";
import { transformerPrefix } from "./scaleWise.ts";
import { varModelSchema } from "./varModel.ts";

/** Published schedules by final side of the token map. */
const schedules = [
  [1, 2, 3, 4, 5, 6, 8, 10, 13, 16],
  [1, 2, 3, 4, 6, 9, 13, 18, 24, 32],
  [1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 27, 36, 48, 64],
];

/** Longer sides are not VAR's. */
const maxSide = 256;
/** Of the search for a schedule. */
const maxSteps = 100_000;

const squares = (sides: readonly number[]): number => sides.reduce((sum, side) => sum + side * side, 0);

/** The growing sides that `lvl_1L` counts: how many tokens have each level. */
function sidesOfLevels(levels: HostTensor): number[] | undefined {
  const counts: number[] = [];
  for (const level of toInt32(levels)) {
    if (level < 0 || level > 1000) return undefined;
    counts[level] = (counts[level] ?? 0) + 1;
  }
  const sides = Array.from(counts, (count) => Math.sqrt(count ?? 0));
  const grow = sides.every((side, i) => Number.isInteger(side) && side > (sides[i - 1] ?? 0));
  return grow && (sides.at(-1) ?? 0) <= maxSide ? sides : undefined;
}

/** The only growing list of `count` sides from `first` on whose squares sum to `total`; none when a short search leaves doubt. */
function onlySchedule(first: number, count: number, total: number): number[] | undefined {
  const found: number[][] = [];
  let steps = 0;
  const extend = (sides: readonly number[], left: number) => {
    const missing = count - sides.length;
    if (missing === 0 && left === 0) found.push([...sides]);
    if (missing === 0 || left > missing * maxSide ** 2) return;
    for (let side = (sides.at(-1) ?? 0) + 1; side <= maxSide && side * side * missing <= left; side++) {
      if (found.length > 1 || ++steps > maxSteps) return;
      extend([...sides, side], left - side * side);
    }
  };
  extend([first], total - first * first);
  return found.length === 1 && steps <= maxSteps ? found[0] : undefined;
}

/**
 * The schedule of a transformer: from its buffer, else a published one of that length, else the only one there can be;
 * undefined when there are several.
 */
async function scheduleOf(
  tensors: OfficialTensors,
  first: number,
  count: number,
  length: number,
): Promise<readonly number[] | undefined> {
  if (tensors.shape("lvl_1L")?.[1] === length) {
    const sides = sidesOfLevels(await tensors.read("lvl_1L"));
    if (sides?.length === count && sides[0] === first) return sides;
  }
  const fits = (sides: readonly number[]) =>
    sides.length === count && sides[0] === first && squares(sides) === length;
  const known = schedules.find(fits);
  if (known) return known;
  return count <= 8 ? onlySchedule(first, count, length) : undefined;
}

const unknownSchedule = (count: number, length: number): NextxError =>
  new NextxError(
    "CONVERT_UNKNOWN_SCHEDULE",
    `The file has ${length} tokens in ${count} scales, but does not say which sides.`,
    { path: "transformer.patchNums", hint: "Say them: --set transformer.patchNums=1,2,3,4" },
  );

const zeros: Derivable = {
  why: "always zero",
  holds: ({ data }) => data.every((value: number | bigint) => Number(value) === 0),
};

const transformer: OfficialPart = {
  name: "transformer",
  prefix: transformerPrefix,
  anchor: "lvl_embed.weight",
  async recognise(tensors) {
    const { names, shape } = tensors;
    const [levels, table, start] = [shape("lvl_embed.weight"), shape("pos_1LC"), shape("pos_start")];
    const [head, classes, hidden] = [
      shape("head.weight"),
      shape("class_emb.weight"),
      shape("blocks.0.ffn.fc1.weight"),
    ];
    if (!levels || table?.length !== 3 || !start || !head || !classes || !hidden) return undefined;
    if ([levels, table, start, head, classes, hidden].flat().some((side) => side < 1)) return undefined;
    const [count = 0, length = 0, first] = [levels[0], table[1], Math.sqrt(start[1] ?? 1)];
    if (length > count * maxSide ** 2 || !Number.isInteger(first) || first > maxSide) return undefined;
    const [embedDim = 0, scaled] = [head[1], shape("blocks.0.attn.scale_mul_1H11")];
    const depth = countIndices(names, "blocks.", ".");
    const patchNums = await scheduleOf(tensors, first, count, length);
    const section = {
      depth,
      dropPathRate: officialDropPath(depth),
      embedDim,
      numHeads: scaled?.[1] ?? Math.max(1, Math.round(embedDim / 64)),
      mlpRatio: (hidden[0] ?? 0) / embedDim,
      sharedAln: names.has("shared_ada_lin.1.weight"),
      attnL2Norm: scaled !== undefined,
      numClasses: (classes[0] ?? 1) - 1,
      ...(patchNums && { patchNums }),
    };
    const codes = { vocabSize: head[0], zChannels: shape("word_embed.weight")?.[1] };
    const unknown = patchNums ? {} : { unknown: unknownSchedule(count, length) };
    return { section, implied: { tokenizer: codes }, ...unknown };
  },
  derivable(name) {
    if (name === "lvl_1L") return { why: "from the schedule" };
    if (name === "attn_bias_for_masking") return { why: "from the schedule" };
    return /^blocks\.\d+\.attn\.zero_k_bias$/.test(name) ? zeros : undefined;
  },
  summary: ({ depth, embedDim, numClasses, patchNums }) =>
    `VAR transformer, depth ${depth}, width ${embedDim}, ${numClasses} classes, scales ${patchNums ?? "unknown"}`,
};

/** Phi convolutions: none, one, one per scale, or shared ones. */
function phiOf({ names, shape }: OfficialTensors): Record<string, unknown> {
  if (names.has("quantize.quant_resi.qresi.weight")) return { shareQuantResi: 1 };
  const shared = countIndices(names, "quantize.quant_resi.qresi_ls.", ".");
  if (shared > 0) return { shareQuantResi: shared };
  return shape("quantize.quant_resi.0.weight") ? { shareQuantResi: 0 } : { quantResi: 0 };
}

const tokenizer: OfficialPart = {
  name: "tokenizer",
  prefix: tokenizerPrefix,
  anchor: "quantize.embedding.weight",
  async recognise(tensors) {
    const { names, shape } = tensors;
    const [codebook, input] = [shape("quantize.embedding.weight"), shape("encoder.conv_in.weight")];
    const levels = countIndices(names, "encoder.down.", ".");
    if (!codebook || !input || levels === 0) return undefined;
    const [ch = 0, inChannels] = input;
    const width = (level: number) => shape(`encoder.down.${level}.block.0.conv1.weight`)?.[0] ?? 0;
    const section = {
      vocabSize: codebook[0],
      zChannels: codebook[1],
      ch,
      inChannels,
      chMult: Array.from({ length: levels }, (_, level) => width(level) / ch),
      numResBlocks: countIndices(names, "encoder.down.0.block.", "."),
      ...phiOf(tensors),
    };
    return { section };
  },
  derivable: (name) => (name === "quantize.ema_vocab_hit_SV" ? { why: "statistics of training" } : undefined),
  summary: ({ vocabSize, zChannels, ch }) =>
    `VAR tokenizer, ${vocabSize} codes of ${zChannels} numbers, ${ch} channels`,
};

const imageSizeOf = (config: TokenizerConfig): number =>
  Math.max(...config.patchNums) * downsampleFactor(config);

/** Depth, schedule, pixels and parameters of the published models. */
const published: readonly (readonly [depth: number, schedule: number, millions: string])[] = [
  [16, 0, "310 M"],
  [20, 0, "600 M"],
  [24, 0, "1.0 B"],
  [30, 0, "2.0 B"],
  [36, 1, "2.3 B"],
];

const presets = published.map(([depth, schedule, size]): OfficialPreset => {
  const patchNums = schedules[schedule] ?? [];
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
  parts: [transformer, tokenizer],
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
