/**
 * Published checkpoints of NAR and of LlamaGen, its next-token base: `.pt` files, bare or below `model`, `module` or
 * `state_dict`, and LlamaGen's tokenizers (`vq_ds16_c2i.pt`) below `model`. Shapes say neither the heads nor the side of the
 * map: a map of 16 is taken (256 px), `--set tokenizer.latentSide=24` says another. Source: `gpt.py`, `vq_model.py` (code).
 */
import { validate } from "../../formats/validate.ts";
import { feedForwardWidth } from "../../mixer/llamaTransformer.ts";
import { downsampleFactor } from "../../nn/convAutoencoder.ts";
import {
  countIndices,
  type OfficialForm,
  type OfficialPart,
  type OfficialPreset,
} from "../../regimen/officialForm.ts";
import { vqAnchor, vqDerivable, vqSection } from "../../regimen/vqOfficial.ts";
import { tokenizerPrefix, transformerPrefix } from "./build.ts";
import { narModelSchema, transformerSchema, vqSchema } from "./config.ts";

/** Layers, heads, width and parameters of the published sizes; NAR has all but 3B, LlamaGen all but M. */
const sizes = {
  B: { nLayer: 12, nHead: 12, dim: 768, parameters: "130 M" },
  M: { nLayer: 18, nHead: 16, dim: 1024, parameters: "290 M" },
  L: { nLayer: 24, nHead: 16, dim: 1024, parameters: "372 M" },
  XL: { nLayer: 36, nHead: 20, dim: 1280, parameters: "816 M" },
  XXL: { nLayer: 48, nHead: 24, dim: 1536, parameters: "1.5 B" },
} as const;

/** LlamaGen-3B's heads of 100 channels are the only ones that are not of 64. */
const headsOf = (dim: number): number => (dim === 3200 ? 32 : Math.max(1, Math.round(dim / 64)));

/** What the feed-forward width is a multiple of: officially 256, else the largest power of two that gives it. */
const multipleOf = (dim: number, hidden: number): number =>
  [256, 4096, 2048, 1024, 512, 128, 64, 32, 16, 8, 4, 2, 1].find(
    (multiple) => feedForwardWidth({ dim, multipleOf: multiple }) === hidden,
  ) ?? 256;

const transformer: OfficialPart = {
  name: "transformer",
  prefix: transformerPrefix,
  anchor: "tok_embeddings.weight",
  async recognise({ names, shape }) {
    const [table, classes] = [shape("tok_embeddings.weight"), shape("cls_embedding.embedding_table.weight")];
    const hidden = shape("layers.0.feed_forward.w1.weight")?.[0];
    if (table?.length !== 2 || !classes || hidden === undefined || !names.has("output.weight"))
      return undefined;
    const [vocabSize, dim = 0] = table;
    const isNeighbour = names.has("medusa_output.weight");
    const layers = countIndices(names, "layers.", ".");
    const section = {
      ...{ dim, nHead: headsOf(dim), nLayer: isNeighbour ? layers - 1 : layers },
      multipleOf: multipleOf(dim, hidden),
      numClasses: (classes[0] ?? 1) - 1,
      order: isNeighbour ? "neighbour" : "raster",
    };
    return { section, implied: { tokenizer: { vocabSize } } };
  },
  derivable: (name) => (name === "freqs_cis" ? { why: "from the places of sites" } : undefined),
  summary: ({ order, nLayer, dim, numClasses }) =>
    `${order === "raster" ? "LlamaGen" : "NAR"} transformer, ${nLayer} layers, width ${dim}, ${numClasses} classes`,
};

const tokenizer: OfficialPart = {
  name: "tokenizer",
  prefix: tokenizerPrefix,
  anchor: vqAnchor,
  async recognise(tensors) {
    const found = vqSection(tensors);
    return found && { section: { ...found.section, chMult: found.encoder } };
  },
  derivable: vqDerivable,
  summary: ({ vocabSize, codeWidth, ch }) =>
    `LlamaGen tokenizer, ${vocabSize} codes of ${codeWidth} numbers, ${ch} channels`,
};

const described = (config: ReturnType<typeof narModelSchema.parse>) => ({
  config,
  imageSize: config.tokenizer.latentSide * downsampleFactor(config.tokenizer),
  numClasses: config.transformer.numClasses,
});

const presets = Object.entries(sizes).map(([size, { parameters, ...own }]): OfficialPreset => {
  const model = described({ tokenizer: vqSchema.parse({}), transformer: transformerSchema.parse(own) });
  const description = `${parameters} parameters, ${model.imageSize} px, ${model.numClasses} classes of ImageNet`;
  return { name: `nar-${size.toLowerCase()}`, description, ...model };
});

export const narOfficial: OfficialForm = {
  parts: [transformer, tokenizer],
  describe: ({ transformer: own = {}, tokenizer: codes = {} }) =>
    described(validate(narModelSchema, { transformer: own, tokenizer: codes }, "config")),
  presets,
};
