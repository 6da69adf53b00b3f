/**
 * Published KL autoencoders in latent diffusion's form, such as MAR's `kl16.ckpt`: configuration from shapes. Source: MAR
 * `models/vae.py` (code).
 */
import type { z } from "zod";
import { validate } from "../formats/validate.ts";
import { downsampleFactor } from "../nn/convAutoencoder.ts";
import type { KlConfig } from "./klConfig.ts";
import { klPrefix } from "./klStage.ts";
import { countIndices, type OfficialForm, type OfficialPart, type OfficialPreset } from "./officialForm.ts";

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
    const attended = Array.from({ length: levels }, (_, level) => level).find((level) =>
      names.has(`encoder.down.${level}.attn.0.norm.weight`),
    );
    const section = {
      ...{ zChannels: latents?.[0], ch, inChannels },
      chMult: Array.from({ length: levels }, (_, level) => width(level) / ch),
      numResBlocks: countIndices(names, "encoder.down.0.block.", "."),
      ...(attended !== levels - 1 && { attendedLevel: attended ?? levels }), // beyond the last: none
    };
    return { section };
  },
  derivable: (name) => (name.startsWith("loss.") ? { why: "judges of its training" } : undefined),
  summary: ({ zChannels, ch }) => `KL autoencoder, latents of ${zChannels} numbers, ${ch} channels`,
};

/** A model over such an autoencoder. */
interface LatentModelConfig {
  readonly tokenizer: KlConfig;
  readonly transformer: { readonly numClasses: number };
}

/** A published size: the transformer's section, and parameters in words. */
export interface LatentSize {
  readonly transformer: unknown;
  readonly parameters: string;
}

/** Checkpoints of a system over a KL autoencoder; presets are named after the system and the size. */
export function latentOfficial(
  id: string,
  schema: z.ZodType<LatentModelConfig>,
  transformer: OfficialPart,
  sizes: Readonly<Record<string, LatentSize>>,
): OfficialForm {
  const described = (config: LatentModelConfig) => ({
    config,
    imageSize: config.tokenizer.latentSide * downsampleFactor(config.tokenizer),
    numClasses: config.transformer.numClasses,
  });
  const presets = Object.entries(sizes).map(([size, { parameters, transformer: own }]): OfficialPreset => {
    const model = described(schema.parse({ tokenizer: {}, transformer: own }));
    const description = `${parameters} parameters, ${model.imageSize} px, ${model.numClasses} classes of ImageNet`;
    return { name: `${id}-${size.toLowerCase()}`, description, ...model };
  });
  return {
    parts: [transformer, klOfficial],
    describe: ({ transformer: own = {}, tokenizer = {} }) =>
      described(validate(schema, { transformer: own, tokenizer }, "config")),
    presets,
  };
}
