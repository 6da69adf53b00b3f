/**
 * Published KL autoencoders in latent diffusion's form, such as MAR's `kl16.ckpt`: configuration from shapes. Source: MAR
 * `models/vae.py` (code).
 */
import { klPrefix } from "./klStage.ts";
import { countIndices, type OfficialPart } from "./officialForm.ts";

export const klOfficial: OfficialPart = {
  name: "tokenizer",
  prefix: klPrefix,
  anchor: "post_quant_conv.weight",
  async recognise({ names, shape }) {
    const [moments, input] = [shape("quant_conv.weight"), shape("encoder.conv_in.weight")];
    const latents = shape("post_quant_conv.weight");
    const levels = countIndices(names, "encoder.down.", ".");
    const hasMoments = moments !== undefined && latents !== undefined && moments[0] === 2 * (latents[0] ?? 0);
    if (!hasMoments || input === undefined || levels === 0) return undefined;
    const [ch = 0, inChannels] = input;
    const width = (level: number) => shape(`encoder.down.${level}.block.0.conv1.weight`)?.[0] ?? 0;
    const section = {
      ...{ zChannels: latents?.[0], ch, inChannels },
      chMult: Array.from({ length: levels }, (_, level) => width(level) / ch),
      numResBlocks: countIndices(names, "encoder.down.0.block.", "."),
    };
    return { section };
  },
  derivable: (name) => (name.startsWith("loss.") ? { why: "judges of its training" } : undefined),
  summary: ({ zChannels, ch }) => `KL autoencoder, latents of ${zChannels} numbers, ${ch} channels`,
};
