/**
 * NAR's parity table: from the `run` names of reference cases to the functions that train and sample. A case holds several
 * models, chosen by `args.model`: NAR of pictures and of videos, LlamaGen, its tokenizer.
 */
import { VqTokenizer } from "../../codec/vqTokenizer.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import {
  badCase,
  caseConfig,
  countArg,
  countsArg,
  fromOfficial,
  numberArg,
  type ParityCase,
  type ParityInputs,
  type ParityTable,
  sizeKey,
} from "../../formats/parityCase.ts";
import { filteredProbabilities } from "../../head/categorical.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { caseRuns, joinParts, renameGradients, specOf, withoutInert } from "../../regimen/parityTools.ts";
import { vqLosses, vqTraining } from "../../regimen/vqCodec.ts";
import type { Device } from "../../runtime/device.ts";
import { bools, floats, ints, type Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { RandomStream } from "../../tensor/random.ts";
import { transformerSchema, videoTransformerSchema, vqSchema } from "./config.ts";
import { generateTokens, inRowMajor } from "./generate.ts";
import { formOf, LatticeTransformer, videoForm } from "./model.ts";
import { latticeLoss, latticeTraining } from "./objective.ts";

/** Official keys that are ours elsewhere, or say nothing here: dropouts of training, sizes that follow from others. */
const elsewhere = [
  "vocab_size",
  "block_size",
  "cls_token_num",
  "medusa_attention_num",
  "max_seq_len",
  "max_batch_size",
];
const ofVideo = ["latent_shape", "use_fixed_pe", "frame_prediction"];
/** What a case leaves out. Source: `ModelArgs` of `gpt.py` (LlamaGen's are the same) and of `larp_ar.py` (code). */
const transformerDefaults = {
  ...{ dim: 4096, n_layer: 32, n_head: 32, multiple_of: 256, norm_eps: 1e-5, class_dropout_prob: 0.1 },
  cls_token_num: 1,
};
const constructorDefaults = {
  picture: { ...transformerDefaults, num_classes: 1000, vocab_size: 16384, block_size: 256 },
  video: { ...transformerDefaults, num_classes: 101, vocab_size: 8192, latent_shape: [4, 16, 16] },
};
const pixels = { l1: 0, l2: 1 };

function buildModel(config: ParityCase["config"], name: string, weights: Weights) {
  const given = withoutInert(caseConfig(config, name));
  const isVideo = "latent_shape" in given || weights.has(`${name}.output_B.weight`);
  const official: Record<string, unknown> = {
    ...constructorDefaults[isVideo ? "video" : "picture"],
    ...given,
  };
  const rest = Object.entries(official).filter(([key]) => ![...elsewhere, ...ofVideo].includes(key));
  // Without label dropping the table has no row for "no class" (code): its last class then stands where that would.
  const rows = weights.get(`${name}.cls_embedding.embedding_table.weight`)?.shape[0];
  const classes = rows === undefined ? {} : { num_classes: rows - 1 };
  const parsed = fromOfficial(isVideo ? videoTransformerSchema : transformerSchema, {
    ...Object.fromEntries(rest),
    ...classes,
  });
  const shape = official.latent_shape as readonly number[] | undefined;
  const isRaster = shape === undefined && weights.get(`${name}.medusa_output.weight`) === undefined;
  const own = { ...parsed, order: isRaster ? ("raster" as const) : ("neighbour" as const) };
  const below = Number(official.medusa_attention_num ?? 1); // layers between both heads
  const video = {
    fixedPositions: official.use_fixed_pe === true,
    given: official.frame_prediction === true ? Number(official.cls_token_num ?? 1) : 0,
  };
  const form = shape
    ? videoForm(own, shape, video)
    : formOf(own, Math.sqrt(sizeKey(official, "block_size")), below);
  const scope = Scope.root(`${name}.`);
  return { scope, model: new LatticeTransformer(scope, own, sizeKey(official, "vocab_size"), form) };
}

/** The table of one case. `weights` are the case's, by prefixed name. */
export function narParity(
  { config }: ParityCase,
  weights: Weights,
  device: Device,
): ParityTable & Disposable {
  const { run, compute } = caseRuns(weights, device);
  const programs = new Map<string, ProgramStore>();
  const nameOf = ({ args }: ParityInputs): string => {
    if (typeof args.model === "string") return args.model;
    throw badCase(`The argument "model" must name a model, got ${JSON.stringify(args.model)}.`, "args.model");
  };
  const built = (inputs: ParityInputs) => buildModel(config, nameOf(inputs), weights);
  const isVq = (inputs: ParityInputs) =>
    weights.has(`${nameOf(inputs)}.quantize.embedding.weight`) ||
    "codebook_size" in caseConfig(config, nameOf(inputs));
  const tokenizer = (inputs: ParityInputs) => {
    const scope = Scope.root(`${nameOf(inputs)}.`);
    const {
      encoder_ch_mult: encoder,
      decoder_ch_mult: decoder,
      ...rest
    } = withoutInert(caseConfig(config, nameOf(inputs)));
    const chMult = encoder ?? decoder;
    if (String(decoder ?? chMult) !== String(chMult))
      throw badCase("Encoder and decoder have the same widths.", `config.${nameOf(inputs)}`);
    // what else a case leaves out is as in the configuration, whose defaults are the official ones
    const parsed = fromOfficial(vqSchema, { ...(chMult !== undefined && { ch_mult: chMult }), ...rest });
    return { scope, parsed, codec: new VqTokenizer(scope, parsed) };
  };
  const programsOf = (name: string) => {
    const made = programs.get(name) ?? new ProgramStore(weights, device);
    programs.set(name, made);
    return made;
  };
  const optional = ({ tensor }: ParityInputs, name: string): Value | undefined => {
    try {
      return tensor(name);
    } catch (error) {
      if (error instanceof NextxError && error.code === "PARITY_MISSING_INPUT") return undefined;
      throw error;
    }
  };
  /** Labels, or the tokens of given frames. */
  const conditions = (inputs: ParityInputs): Value =>
    optional(inputs, "labels") ?? optional(inputs, "cond") ?? inputs.tensor("cond_idx");
  const tokens = (inputs: ParityInputs) => ({ labels: conditions(inputs), ids: inputs.tensor("tokens") });
  const training = (inputs: ParityInputs): Record<string, Value> => {
    const valid = optional(inputs, "valid");
    return { ...tokens(inputs), ...(valid && { valid }) };
  };
  function vqLoss(inputs: ParityInputs): Promise<Record<string, Value>> {
    const { codec, parsed } = tokenizer(inputs);
    return compute({ image: inputs.tensor("image") }, ({ image }) => {
      const losses = vqLosses(codec, image, parsed, pixels);
      return {
        total: losses.total,
        vq_loss: losses.vqLoss,
        commit_loss: losses.commitLoss,
        entropy_loss: losses.entropyLoss,
      };
    });
  }
  async function generate(inputs: ParityInputs) {
    const { args } = inputs;
    const labels = conditions(inputs).data as Int32Array; // labels are integers
    const { model } = built(inputs);
    const batch = labels.length / model.prefixLength;
    const interval = numberArg(inputs, "cfg_interval", -1);
    // LlamaGen counts passes after the first token, NAR tokens.
    const isCounted = model.config.order === "raster" && interval >= 0;
    const options = {
      cfgScale: numberArg(inputs, "cfg_scale", 1) - 1,
      cfgInterval: isCounted ? interval + 1 : interval,
      ...{ temperature: 0, topK: 0, topP: 0 },
    };
    const streams = Array.from({ length: batch }, (_, i) => RandomStream.from(0, `parity/${i}`));
    const results = [];
    for await (const result of generateTokens(model, programsOf(nameOf(inputs)), labels, options, streams))
      results.push(result);
    if (countArg(inputs, "forwards", 1, results.length) !== results.length)
      throw new NextxError("PARITY_OTHER_STEPS", `${results.length} passes, expected ${args.forwards}.`);
    const parts = results.map(({ logits, group }) => ({
      data: logits.data,
      width: group.size * model.vocabSize,
    }));
    const shape = [batch, model.plan.length];
    return {
      tokens: ints(inRowMajor(model, results, batch), shape),
      logits: floats(joinParts(parts, batch), [...shape, model.vocabSize]),
    };
  }
  return {
    "attention-mask": async (inputs) => {
      const { model } = built(inputs);
      const visible = model.hidden().map((hidden) => 1 - hidden);
      const length = model.prefixLength + model.plan.length;
      return { mask: bools(visible, [length, length]) };
    },
    "position-table": async (inputs) => {
      const { model } = built(inputs);
      const { cos, sin } = model.rotation();
      const pairs = Array.from(cos.keys()).filter((i) => i % 2 === 0); // both channels of a pair have its angle
      const freqs = pairs.flatMap((i) => [cos[i] as number, sin[i] as number]); // in range
      return { freqs: floats(freqs, [model.plan.length + 1, model.headWidth / 2, 2]) };
    },
    "head-logits": async (inputs) => {
      const { model } = built(inputs);
      return compute(tokens(inputs), ({ labels, ids }) => {
        const heads = model.headLogits(labels, ids);
        return Object.fromEntries(heads.map((head, k) => [["right", "below", "frame"][k] as string, head]));
      });
    },
    logits: async (inputs) => {
      const { model } = built(inputs);
      return compute(tokens(inputs), ({ labels, ids }) => ({ logits: model.logits(labels, ids) }));
    },
    loss: async (inputs) => {
      if (isVq(inputs)) return vqLoss(inputs);
      const { model } = built(inputs);
      return compute(training(inputs), (x) => ({ loss: latticeLoss(model, x).loss }));
    },
    "loss-grad": async (inputs) => {
      const prefix = `${nameOf(inputs)}.`;
      if (isVq(inputs)) {
        const images = inputs.tensor("image");
        const [height = 0, width = 0] = images.shape.slice(2);
        const size = { height, width };
        const { codec, parsed, scope } = tokenizer(inputs);
        return renameGradients(await run(vqTraining(scope, codec, parsed, pixels, size), { images }), prefix);
      }
      const { model, scope } = built(inputs);
      const given = training(inputs);
      const more = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, specOf(value)]));
      return renameGradients(await run(latticeTraining(scope, model, more), given), prefix);
    },
    "sample-greedy": generate,
    "filter-logits": async ({ tensor, args }) => {
      const { data, shape } = tensor("logits");
      const width = shape.at(-1) as number; // logits have a last axis
      const kept = new Uint8Array(data.length);
      for (let row = 0; row < data.length; row += width) {
        const values = (data as Float32Array).subarray(row, row + width); // logits are float32
        // code: a share of 0 keeps the best alone, where ours keeps all.
        const share = Math.max(numberArg({ args }, "top_p"), Number.MIN_VALUE);
        for (const id of filteredProbabilities(values, numberArg({ args }, "top_k"), share).ids)
          kept[row + id] = 1;
      }
      return { kept: bools(kept, shape) };
    },
    "encode-features": async (inputs) => {
      const { codec } = tokenizer(inputs);
      return compute({ image: inputs.tensor("image") }, ({ image }) => ({ features: codec.features(image) }));
    },
    tokenize: async (inputs) => {
      const { codec } = tokenizer(inputs);
      return compute({ image: inputs.tensor("image") }, ({ image }) => {
        const latents = codec.encode(image);
        const ids = codec.quantise(latents);
        const [, , rows = 0, columns = 0] = latents.shape;
        return { tokens: ids, quantized: codec.codes(ids, rows, columns) };
      });
    },
    decode: async (inputs) => {
      const ids = inputs.tensor("tokens");
      const { codec } = tokenizer(inputs);
      const [rows = 0, columns = 0] = countsArg(inputs, "grid");
      return compute({ ids }, (x) => ({ image: codec.decode(codec.codes(x.ids, rows, columns)) }));
    },
    reconstruct: async (inputs) => {
      const { codec } = tokenizer(inputs);
      return compute({ image: inputs.tensor("image") }, (x) => ({
        image: codec.forward(x.image).reconstruction,
      }));
    },
    [Symbol.dispose]: () => {
      for (const store of programs.values()) store[Symbol.dispose]();
    },
  };
}
