/**
 * xAR's published checkpoints: `xAR-B.pth`, `xAR-L.pth`, `xAR-H.pth`, bare state dicts, or `model` and `model_ema` inside a
 * training checkpoint; the autoencoder is MAR's. Source: `models/xar.py`, `eval.py` (code).
 */
import { gatedRatio } from "../../mixer/gatedRmsTransformer.ts";
import { latentOfficial } from "../../regimen/klOfficial.ts";
import { countIndices, type OfficialPart, type OfficialTensors } from "../../regimen/officialForm.ts";
import { transformerPrefix } from "./build.ts";
import { officialSizes, transformerSchema, xarModelSchema } from "./config.ts";

/** Heads of a stack: from its table of angles where the file has it, else those of the published size. */
function headsOf({ shape }: OfficialTensors, stack: string, embedDim: number): number {
  const angles = shape(`${stack}_blocks.0.attn.rope.freqs_cos`)?.at(-1);
  if (angles) return embedDim / angles;
  const known = Object.values(officialSizes).find((size) => "embedDim" in size && size.embedDim === embedDim);
  return known && "encoderNumHeads" in known ? known.encoderNumHeads : Math.max(1, Math.round(embedDim / 64));
}

const transformer: OfficialPart = {
  name: "transformer",
  prefix: transformerPrefix,
  anchor: "pred.weight",
  async recognise(tensors) {
    const { names, shape } = tensors;
    const [out, classes] = [shape("pred.weight"), shape("class_emb.weight")];
    const [table, hidden] = [shape("encoder_pos_embed_learned"), shape("encoder_blocks.0.mlp.fc1_g.weight")];
    if (!out || !classes || !hidden || table?.length !== 3) return undefined;
    const [, length = 0, embedDim = 1] = table;
    const section = {
      ...{ embedDim, numClasses: (classes[0] ?? 1) - 1 },
      encoderDepth: countIndices(names, "encoder_blocks.", "."),
      encoderNumHeads: headsOf(tensors, "encoder", embedDim),
      decoderDepth: countIndices(names, "decoder_blocks.", "."),
      decoderNumHeads: headsOf(tensors, "decoder", embedDim),
      mlpRatio: gatedRatio(hidden[0] ?? 0, embedDim),
    };
    return { section, implied: { tokenizer: { zChannels: out[0], latentSide: Math.sqrt(length) } } };
  },
  derivable(name) {
    if (name === "mask") return { why: "from the entities" };
    return /\.attn\.rope\.freqs(_cos|_sin)?$/.test(name) ? { why: "from the places of sites" } : undefined;
  },
  summary: ({ encoderDepth, decoderDepth, embedDim, numClasses }) =>
    `xAR transformer, ${encoderDepth} + ${decoderDepth} blocks, width ${embedDim}, ${numClasses} classes`,
};

const sizeOf = (size: keyof typeof officialSizes, parameters: string) => ({
  transformer: transformerSchema.parse(officialSizes[size]),
  parameters,
});

export const xarOfficial = latentOfficial("xar", xarModelSchema, transformer, {
  B: sizeOf("B", "172 M"),
  L: sizeOf("L", "608 M"),
  H: sizeOf("H", "1.1 B"),
});
