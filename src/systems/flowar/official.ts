/**
 * FlowAR's published checkpoints: training checkpoints with `model` and `model_ema`, or bare state dicts; the autoencoder is
 * MAR's. Source: `models/flowar.py`, `main_flowar.py` (code).
 */
import { gatedRatio } from "../../mixer/gatedRmsTransformer.ts";
import { latentOfficial } from "../../regimen/klOfficial.ts";
import { countIndices, type OfficialPart, type OfficialTensors } from "../../regimen/officialForm.ts";
import { NextxError } from "../../tensor/errors.ts";
import { transformerPrefix } from "./build.ts";
import { flowArModelSchema, officialSizes } from "./config.ts";

/** Heads of a stack: from its angles where the file has them, else those of the published size. */
function headsOf({ shape }: OfficialTensors, stack: string, embedDim: number): number {
  const pairs = shape(`${stack}_blocks.0.attn.rope.freqs`)?.[0]; // a quarter of a head's width
  if (pairs) return embedDim / (4 * pairs);
  const known = Object.values(officialSizes).find((size) => size.embedDim === embedDim);
  return known?.encoderNumHeads ?? Math.max(1, Math.round(embedDim / 64));
}

/** Sides 1, 2, 4, ... of so many sites; undefined for other numbers. */
function doublingSides(length: number): number[] | undefined {
  const sides: number[] = [];
  for (let [side, left] = [1, length]; left > 0; side *= 2) {
    sides.push(side);
    left -= side * side;
    if (left === 0) return sides;
  }
  return undefined;
}

const unknownSchedule = (length: number): NextxError =>
  new NextxError("CONVERT_UNKNOWN_SCHEDULE", `${length} sites are not those of sides that double.`, {
    path: "transformer.patchNums",
    hint: "Say the sides: --set transformer.patchNums=1,4,8",
  });

const transformer: OfficialPart = {
  name: "transformer",
  prefix: transformerPrefix,
  anchor: "diffusion_pos_embed_learned",
  async recognise(tensors) {
    const { names, shape } = tensors;
    const [table, classes, latents] = [
      shape("diffusion_pos_embed_learned"),
      shape("class_emb.weight"),
      shape("z_proj.weight"),
    ];
    const [hidden, flow, flowHidden] = [
      shape("encoder_blocks.0.mlp.fc1_g.weight"),
      shape("flownet.input_proj.weight"),
      shape("flownet.res_blocks.0.mlp.fc1_g.weight"),
    ];
    if (table?.length !== 3 || !classes || !latents || !hidden || !flow || !flowHidden) return undefined;
    const [, length = 0, embedDim = 1] = table;
    const [latentWidth, flowWidth = 1] = [latents[1], flow[0]];
    const patchNums = doublingSides(length);
    const section = {
      ...{ embedDim, latentWidth, numClasses: (classes[0] ?? 1) - 1 },
      ...(patchNums && { patchNums }),
      encoderDepth: countIndices(names, "encoder_blocks.", "."),
      encoderNumHeads: headsOf(tensors, "encoder", embedDim),
      decoderDepth: countIndices(names, "decoder_blocks.", "."),
      decoderNumHeads: headsOf(tensors, "decoder", embedDim),
      mlpRatio: gatedRatio(hidden[0] ?? 0, embedDim),
      ...{ flowWidth, flowDepth: countIndices(names, "flownet.res_blocks.", ".") },
      flowMlpRatio: gatedRatio(flowHidden[0] ?? 0, flowWidth),
      flowCross: names.has("flownet.res_blocks.0.crossattn.q.weight"),
    };
    const latentSide = patchNums?.at(-1);
    return {
      section,
      implied: { tokenizer: { zChannels: latentWidth, ...(latentSide && { latentSide }) } },
      ...(!patchNums && { unknown: unknownSchedule(length) }),
    };
  },
  derivable(name) {
    if (name === "mask") return { why: "from the scales" };
    return /\.(attn|crossattn)\.rope\.freqs$/.test(name) ? { why: "from the places of sites" } : undefined;
  },
  summary: ({ encoderDepth, decoderDepth, embedDim, numClasses, patchNums }) =>
    `FlowAR transformer, ${encoderDepth} + ${decoderDepth} blocks, width ${embedDim}, ${numClasses} classes, scales ${patchNums ?? "unknown"}`,
};

export const flowArOfficial = latentOfficial("flowar", flowArModelSchema, transformer, {
  S: { transformer: officialSizes.S, parameters: "170 M" },
  L: { transformer: officialSizes.L, parameters: "589 M" },
  H: { transformer: officialSizes.H, parameters: "1.9 B" },
});
