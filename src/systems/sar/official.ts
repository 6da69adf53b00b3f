/**
 * Published checkpoints of FlexVAR and SAR, which have the same form: `FlexVARd16-epo179.pth`, `SARd16-epo179.pth`, bare or
 * below `trainer.var_wo_ddp`, and `FlexVAE.pth`, below `model`. Source: `models/flexvar.py`, `models/vq_llama.py`,
 * `models/__init__.py` (code).
 */
import { validate } from "../../formats/validate.ts";
import { downsampleFactor } from "../../nn/convAutoencoder.ts";
import { officialDropPath } from "../../regimen/multiScaleConfig.ts";
import {
  countIndices,
  type OfficialForm,
  type OfficialPart,
  type OfficialPreset,
} from "../../regimen/officialForm.ts";
import { vqAnchor, vqDerivable, vqSection } from "../../regimen/vqOfficial.ts";
import { officialMaxSide, officialTransformer, type TokenizerConfig, tokenizerSchema } from "./config.ts";
import { sarModelSchema, transformerPrefix } from "./sarModel.ts";
import { tokenizerPrefix } from "./trainableCodec.ts";

const transformer: OfficialPart = {
  name: "transformer",
  prefix: transformerPrefix,
  anchor: "pos_1LC",
  async recognise({ names, shape }) {
    const [table, start, head] = [shape("pos_1LC"), shape("pos_start"), shape("head.weight")];
    const [classes, hidden] = [shape("class_emb.weight"), shape("blocks.0.ffn.fc1.weight")];
    if (table?.length !== 4 || !start || !head || !classes || !hidden) return undefined;
    const [embedDim = 0, scaled] = [head[1], shape("blocks.0.attn.scale_mul_1H11")];
    const depth = countIndices(names, "blocks.", ".");
    const section = {
      depth,
      embedDim,
      numHeads: scaled?.[1] ?? Math.max(1, Math.round(embedDim / 64)),
      mlpRatio: (hidden[0] ?? 0) / embedDim,
      sharedAln: names.has("shared_ada_lin.1.weight"),
      attnL2Norm: scaled !== undefined,
      numClasses: (classes[0] ?? 1) - 1,
      positionSide: table[2],
      dropPathRate: officialDropPath(depth),
      maxSide: officialMaxSide,
    };
    const codes = { vocabSize: head[0], codeWidth: shape("word_embed.weight")?.[1] };
    return { section, implied: { tokenizer: codes } };
  },
  derivable(name) {
    if (name === "attn_bias_for_masking") return { why: "from the schedule" };
    if (!/^blocks\.\d+\.attn\.zero_k_bias$/.test(name)) return undefined;
    const holds = ({ data }: { data: ArrayLike<number | bigint> }) =>
      Array.from(data, Number).every((value) => value === 0);
    return { why: "always zero", holds };
  },
  summary: ({ depth, embedDim, numClasses }) =>
    `FlexVAR or SAR transformer, depth ${depth}, width ${embedDim}, ${numClasses} classes, any schedule`,
};

const tokenizer: OfficialPart = {
  name: "tokenizer",
  prefix: tokenizerPrefix,
  anchor: vqAnchor,
  async recognise(tensors) {
    const found = vqSection(tensors);
    return (
      found && {
        section: { ...found.section, encoderChMult: found.encoder, decoderChMult: found.decoder },
      }
    );
  },
  derivable: vqDerivable,
  summary: ({ vocabSize, codeWidth, ch }) =>
    `FlexVAR tokenizer, ${vocabSize} codes of ${codeWidth} numbers, ${ch} channels`,
};

const imageSizeOf = (config: TokenizerConfig): number =>
  config.latentSide * downsampleFactor({ ...config, chMult: config.decoderChMult });

const presets = (
  [
    [16, "310 M"],
    [20, "600 M"],
    [24, "1.0 B"],
  ] as const
).map(([depth, size]): OfficialPreset => {
  const config = { tokenizer: tokenizerSchema.parse({}), transformer: officialTransformer(depth) };
  const imageSize = imageSizeOf(config.tokenizer);
  const { numClasses } = config.transformer;
  const description = `${size} parameters, ${imageSize} px, ${numClasses} classes of ImageNet; FlexVAR and SAR`;
  return { name: `sar-d${depth}`, description, config, imageSize, numClasses };
});

/** code: what distances are measured with. */
const filters = { topK: 900, topP: 0.95 };
/** paper: guidance by depth. */
const guidance: Readonly<Record<number, number>> = { 16: 2.2, 20: 2.6, 24: 3.3 };

export const sarOfficial: OfficialForm = {
  parts: [transformer, tokenizer],
  describe({ transformer: own = {}, tokenizer: codes = {} }) {
    const config = validate(sarModelSchema, { transformer: own, tokenizer: codes }, "config");
    const { depth, numClasses } = config.transformer;
    const cfgScale = Object.hasOwn(guidance, depth) ? guidance[depth] : undefined;
    const sampling = { ...filters, ...(cfgScale !== undefined && { cfgScale }) };
    return { config, imageSize: imageSizeOf(config.tokenizer), numClasses, sampling };
  },
  presets,
};
