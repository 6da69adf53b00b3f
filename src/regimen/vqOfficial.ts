/**
 * Published tokenizers in LlamaGen's form, FlexVAR's too: what their shapes say. Source: LlamaGen
 * `tokenizer/tokenizer_image/vq_model.py`, FlexVAR `models/vq_llama.py` (code).
 */
import { countIndices, type Derivable, type OfficialTensors } from "./officialForm.ts";

/** A tensor that every such tokenizer has. */
export const vqAnchor = "quantize.embedding.weight";

/** The configuration, with the factors of both nets, finest level first; undefined when it is another form. */
export function vqSection({ names, shape }: OfficialTensors) {
  const [codebook, input] = [shape(vqAnchor), shape("encoder.conv_in.weight")];
  const latents = shape("encoder.conv_out.weight");
  const levels = countIndices(names, "encoder.conv_blocks.", ".");
  if (!codebook || !input || !latents || levels === 0) return undefined;
  const [ch = 0, inChannels] = input;
  const factors = (net: string) =>
    Array.from(
      { length: levels },
      (_, i) => (shape(`${net}.conv_blocks.${i}.res.0.conv1.weight`)?.[0] ?? 0) / ch,
    );
  return {
    section: {
      ...{ vocabSize: codebook[0], codeWidth: codebook[1], zChannels: latents[0], ch, inChannels },
      numResBlocks: countIndices(names, "encoder.conv_blocks.0.res.", "."),
    },
    encoder: factors("encoder"),
    decoder: factors("decoder").reverse(), // its blocks count from the lowest resolution
  };
}

/** Buffers that a model does not need. */
export const vqDerivable = (name: string): Derivable | undefined =>
  name === "quantize.codebook_used" ? { why: "statistics of training" } : undefined;
