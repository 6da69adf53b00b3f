/**
 * Published checkpoints of systems over VAR's tokenizer and transformer: configurations follow from shapes and small buffers.
 * Source: VAR `models/var.py`, `models/vqvae.py`, `models/__init__.py` (code).
 */

import { type HostTensor, isFloat, toInt32 } from "../formats/hostTensor.ts";
import { downsampleFactor } from "../nn/convAutoencoder.ts";
import { publishedSides } from "../plan/publishedSides.ts";
import { NextxError } from "../tensor/errors.ts";
import { officialDropPath, type TokenizerConfig } from "./multiScaleConfig.ts";
import { tokenizerPrefix } from "./multiScaleModel.ts";
import {
  countIndices,
  type Derivable,
  type OfficialPart,
  type OfficialTensors,
  type Recognised,
} from "./officialForm.ts";

/** Longer sides are not VAR's. */
const maxSide = 256;
/** Of the search for a schedule. */
const maxSteps = 100_000;

const squares = (sides: readonly number[]): number => sides.reduce((sum, side) => sum + side * side, 0);

/** The growing sides that `lvl_1L` counts: how many tokens have each level. */
function sidesOfLevels(levels: HostTensor): number[] | undefined {
  if (isFloat(levels.dtype)) return undefined;
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
  if (String(tensors.shape("lvl_1L")) === `1,${length}`) {
    const sides = sidesOfLevels(await tensors.read("lvl_1L"));
    if (sides?.length === count && sides[0] === first) return sides;
  }
  const fits = (sides: readonly number[]) =>
    sides.length === count && sides[0] === first && squares(sides) === length;
  const known = Object.values(publishedSides).find(fits);
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

/** What a layer and the head say of a transformer. */
export function blockSection({ shape }: Pick<OfficialTensors, "shape">, layer: number) {
  const embedDim = shape("head.weight")?.[1] ?? 0;
  const scaled = shape(`blocks.${layer}.attn.scale_mul_1H11`);
  return {
    embedDim,
    numHeads: scaled?.[1] ?? Math.max(1, Math.round(embedDim / 64)),
    mlpRatio: (shape(`blocks.${layer}.ffn.fc1.weight`)?.[0] ?? 0) / embedDim,
    attnL2Norm: scaled !== undefined,
  };
}

/** The configuration of a transformer with level embeddings, and what it says of its tokenizer. */
export async function recogniseLevelled(tensors: OfficialTensors): Promise<Recognised | undefined> {
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
  const depth = countIndices(names, "blocks.", ".");
  const patchNums = await scheduleOf(tensors, first, count, length);
  const section = {
    depth,
    dropPathRate: officialDropPath(depth),
    ...blockSection(tensors, 0),
    sharedAln: names.has("shared_ada_lin.1.weight"),
    numClasses: (classes[0] ?? 1) - 1,
    ...(patchNums && { patchNums }),
  };
  const codes = { vocabSize: head[0], zChannels: shape("word_embed.weight")?.[1] };
  const unknown = patchNums ? {} : { unknown: unknownSchedule(count, length) };
  return { section, implied: { tokenizer: codes }, ...unknown };
}

/** Buffers of such a transformer that follow from its configuration. */
export function levelledDerivable(name: string): Derivable | undefined {
  if (name === "lvl_1L") return { why: "from the schedule" };
  if (name === "attn_bias_for_masking") return { why: "from the schedule" };
  return /^blocks\.\d+\.attn\.zero_k_bias$/.test(name) ? zeros : undefined;
}

/** Phi convolutions: none, one, one per scale, or shared ones. */
function phiOf({ names, shape }: OfficialTensors): Record<string, unknown> {
  if (names.has("quantize.quant_resi.qresi.weight")) return { shareQuantResi: 1 };
  const shared = countIndices(names, "quantize.quant_resi.qresi_ls.", ".");
  if (shared > 0) return { shareQuantResi: shared };
  return shape("quantize.quant_resi.0.weight") ? { shareQuantResi: 0 } : { quantResi: 0 };
}

/** The tokenizer, whatever draws its tokens. */
export const multiScaleTokenizerPart: OfficialPart = {
  name: "tokenizer",
  prefix: tokenizerPrefix,
  anchor: "quantize.embedding.weight",
  async recognise(tensors) {
    const { names, shape } = tensors;
    const [codebook, input] = [shape("quantize.embedding.weight"), shape("encoder.conv_in.weight")];
    const levels = countIndices(names, "encoder.down.", ".");
    if (!codebook || !input || levels === 0) return undefined;
    const [ch = 0, inChannels] = input;
    const kernel = shape("quant_conv.weight")?.[2] ?? 3;
    const width = (level: number) => shape(`encoder.down.${level}.block.0.conv1.weight`)?.[0] ?? 0;
    const section = {
      vocabSize: codebook[0],
      zChannels: codebook[1],
      ch,
      inChannels,
      chMult: Array.from({ length: levels }, (_, level) => width(level) / ch),
      numResBlocks: countIndices(names, "encoder.down.0.block.", "."),
      ...(kernel !== 3 && { quantConvKernel: kernel }),
      ...phiOf(tensors),
    };
    return { section };
  },
  derivable: (name) => (name === "quantize.ema_vocab_hit_SV" ? { why: "statistics of training" } : undefined),
  summary: ({ vocabSize, zChannels, ch }) =>
    `VAR tokenizer, ${vocabSize} codes of ${zChannels} numbers, ${ch} channels`,
};

/** Side of a tokenizer's pictures. */
export const imageSizeOf = (config: TokenizerConfig): number =>
  Math.max(...config.patchNums) * downsampleFactor(config);
