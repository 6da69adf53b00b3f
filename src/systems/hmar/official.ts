/**
 * HMAR's published checkpoints: the merged model, or the state dicts of both stages, beside VAR's tokenizer. A merged model
 * names what both predictions share `base_blocks`, and the last layers `ns_blocks` and `mask_blocks`. A stage 2 dict repeats
 * stage 1 but for its last layers, head and mask vector. A stage 1 dict alone cannot be told from VAR's. Source: dossier of
 * `models/nsp.py`, `models/mp.py`, `models/hmar.py` (code).
 */

import { validate } from "../../formats/validate.ts";
import { publishedSides } from "../../plan/publishedSides.ts";
import { officialTransformer } from "../../regimen/multiScaleConfig.ts";
import {
  blockSection,
  imageSizeOf,
  levelledDerivable,
  multiScaleTokenizerPart,
  recogniseLevelled,
} from "../../regimen/multiScaleOfficial.ts";
import {
  countIndices,
  type OfficialForm,
  type OfficialPart,
  type OfficialPreset,
  type OfficialTensors,
} from "../../regimen/officialForm.ts";
import { maskedPrefix, nextScalePrefix } from "./build.ts";
import { hmarModelSchema, tailLayers } from "./config.ts";

type Rename = (name: string) => string | undefined;

/** Layers that stage 2 trains in every published run; where it trained fewer, those before equal stage 1's. */
const officialTail = tailLayers.parse(undefined);

/** Names of a stage's own dict for those of a merged model; what belongs to the other stage alone has none. */
function mergedNames(stage: "ns" | "mask", shared: number): Rename {
  const own = new RegExp(`^${stage}_blocks\\.(\\d{1,4})\\.`);
  const others = stage === "ns" ? "mask_" : "ns_";
  return (name) => {
    if (name.startsWith(others)) return undefined;
    if (name === "word_embed_bias") return "word_embed.bias";
    return name
      .replace(/^base_blocks\./, "blocks.")
      .replace(own, (_, layer) => `blocks.${shared + Number(layer)}.`)
      .replace(/^(?:ns|mask)_(head|head_nm)\./, "$1.");
  };
}

/** The same tensors under other names. */
function viewOf({ names, shape, read }: OfficialTensors, rename: Rename): OfficialTensors {
  const official = new Map<string, string>();
  for (const name of names) {
    const own = rename(name);
    if (own !== undefined) official.set(own, name);
  }
  const at = (name: string) => official.get(name) ?? "";
  return {
    names: new Set(official.keys()),
    shape: (name) => shape(at(name)),
    read: (name) => read(at(name)),
  };
}

const isMerged = ({ names }: OfficialTensors): boolean => names.has("ns_head.weight");
const sharedLayers = ({ names }: OfficialTensors): number => countIndices(names, "base_blocks.", ".");

const nextScale: OfficialPart = {
  name: "transformer",
  prefix: nextScalePrefix,
  anchor: "lvl_embed.weight",
  async recognise(tensors) {
    if (isMerged(tensors)) {
      const rename = mergedNames("ns", sharedLayers(tensors));
      const found = await recogniseLevelled(viewOf(tensors, rename));
      return found && { ...found, rename };
    }
    return tensors.names.has("mask_embed.weight") ? undefined : recogniseLevelled(tensors);
  },
  derivable: levelledDerivable,
  summary: ({ depth, embedDim, numClasses, patchNums }) =>
    `HMAR next-scale transformer, depth ${depth}, width ${embedDim}, ${numClasses} classes, scales ${patchNums ?? "unknown"}`,
};

/** The last layers of masked prediction: how many of how many, and their names in a dict of stage 2. */
function tailOf(tensors: OfficialTensors): { depth: number; tail: number; rename: Rename } {
  const { names } = tensors;
  if (isMerged(tensors)) {
    const shared = sharedLayers(tensors);
    const tail = countIndices(names, "mask_blocks.", ".");
    const named = mergedNames("mask", shared);
    const rename: Rename = (name) => (name.startsWith("mask_") ? named(name) : undefined);
    return { depth: shared + tail, tail, rename };
  }
  const layerOf = (name: string) => Number(/^blocks\.(\d{1,4})\./.exec(name)?.[1] ?? -1);
  const depth = Math.max(-1, ...Array.from(names, layerOf)) + 1;
  // A part that was converted alone has nothing of stage 1.
  const tail = names.has("pos_1LC") ? Math.min(officialTail, depth) : countIndices(names, "blocks.", ".");
  const isOwn = (name: string) => /^(head|head_nm|mask_embed)\./.test(name) || layerOf(name) >= depth - tail;
  return { depth, tail, rename: (name) => (isOwn(name) ? name : undefined) };
}

const masked: OfficialPart = {
  name: "masked",
  prefix: maskedPrefix,
  anchor: "mask_embed.weight",
  async recognise(tensors) {
    const { depth, tail, rename } = tailOf(tensors);
    const own = viewOf(tensors, rename);
    const head = own.shape("head.weight");
    if (!head || tail === 0 || depth > 128) return undefined;
    const sharedAln = own.names.has(`blocks.${depth - 1}.ada_gss`);
    const transformer = { depth, ...blockSection(own, depth - 1), sharedAln };
    const implied = { transformer, tokenizer: { vocabSize: head[0] } };
    return { section: { tailLayers: tail }, implied, rename };
  },
  derivable: levelledDerivable,
  summary: ({ tailLayers: tail }) => `HMAR masked prediction: the last ${tail} layers and a head`,
};

/** Depth and parameters of the published models, 256 px. paper: all but d20, which is VAR's and eight layers. */
const published: readonly (readonly [depth: number, parameters: string])[] = [
  [16, "465 M"],
  [20, "840 M"],
  [24, "1.3 B"],
  [30, "2.4 B"],
];

const presets = published.map(([depth, size]): OfficialPreset => {
  const patchNums = publishedSides[256];
  const config = hmarModelSchema.parse({
    tokenizer: { patchNums },
    transformer: officialTransformer(depth, patchNums),
  });
  const imageSize = imageSizeOf(config.tokenizer);
  const { numClasses } = config.transformer;
  const description = `${size} parameters, ${imageSize} px, ${numClasses} classes of ImageNet`;
  return { name: `hmar-d${depth}`, description, config, imageSize, numClasses };
});

/** code: what distances are measured with. */
const evaluated: Readonly<Record<number, Readonly<Record<string, number>>>> = {
  16: { cfgScale: 1.7, topK: 1000, topP: 0.99 },
  20: { cfgScale: 1.9, topK: 950, topP: 0.99 },
  24: { cfgScale: 2.1, topK: 900, topP: 0.99 },
  30: { cfgScale: 1.6, topK: 650, topP: 0.99 },
};

export const hmarOfficial: OfficialForm = {
  parts: [nextScale, masked, multiScaleTokenizerPart],
  describe({ transformer = {}, masked: tail = {}, tokenizer = {} }) {
    const { patchNums, depth: layers } = transformer;
    const codec = { ...tokenizer, ...(patchNums !== undefined && { patchNums }) };
    const tailLayers = Math.min(officialTail, Number(layers ?? officialTail));
    const given = { tailLayers, ...tail, tokenizer: codec, transformer };
    const config = validate(hmarModelSchema, given, "config");
    const { depth, numClasses } = config.transformer;
    const sampling = evaluated[depth];
    return {
      ...{ config, imageSize: imageSizeOf(config.tokenizer), numClasses },
      ...(sampling && { sampling }),
    };
  },
  presets,
};
