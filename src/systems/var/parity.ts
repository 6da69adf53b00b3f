/**
 * VAR's parity table: from the `run` names of reference cases to the functions that train and sample. Inputs and outputs
 * follow the case folder's README (prefixes `vae.`, `var.`, `var_shared.`; pictures pooled 4 x 4 where names say so).
 */
import { boxMask, editPlan } from "../../codec/editMask.ts";
import { decodeGraph, encodeGraph, reconstructGraph, tokenizeGraph } from "../../codec/multiScalePrograms.ts";
import { blockCausal } from "../../context/blockCausal.ts";
import { numberArg, type ParityCase, type ParityInputs, type ParityTable } from "../../formats/parityCase.ts";
import { filteredProbabilities } from "../../head/categorical.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { tokenizerTraining } from "../../regimen/multiScaleCodec.ts";
import { multiScaleTokenizer } from "../../regimen/multiScaleModel.ts";
import { caseTokenizer, caseTransformer } from "../../regimen/multiScaleParity.ts";
import { area4, caseRuns, joinParts, pictureOutputs, renameGradients } from "../../regimen/parityTools.ts";
import { tokenLosses, totalLoss, transformerTraining } from "../../regimen/teacherForcedScales.ts";
import type { Device } from "../../runtime/device.ts";
import { bools, floats, ints, type Value } from "../../runtime/values.ts";
import { RandomStream } from "../../tensor/random.ts";
import { type GenerateOptions, type ScaleResult, VarGenerator } from "./generate.ts";
import { VarTransformer } from "./model.ts";

const toUnit = ({ data, shape }: Value): Value =>
  floats(
    Float32Array.from(data, (v) => (v + 1) / 2),
    shape,
  );

/** Element s of axis 1. */
function pick({ data, shape }: Value, s: number): Value {
  const [batch = 0, count = 0, ...rest] = shape;
  const size = rest.reduce((a, b) => a * b, 1);
  const out = new Float32Array(batch * size);
  for (let b = 0; b < batch; b++) {
    const from = (b * count + s) * size;
    out.set((data as Float32Array).subarray(from, from + size), b * size); // features are float32
  }
  return floats(out, [batch, ...rest]);
}

function generateOptions(inputs: ParityInputs): Omit<GenerateOptions, "edit" | "signal"> {
  return {
    cfgScale: numberArg(inputs, "cfg", 1.5),
    topK: numberArg(inputs, "top_k", 0),
    topP: numberArg(inputs, "top_p", 0),
    temperature: 1,
    smooth: false,
  };
}

/** The table of one case. `weights` are the case's, by prefixed name. */
export function varParity(
  parityCase: ParityCase,
  weights: Weights,
  device: Device,
): ParityTable & Disposable {
  const vaeScope = Scope.root("vae.");
  const tokenizer = multiScaleTokenizer(vaeScope, caseTokenizer(parityCase.config));
  const transformer = (name: string) => {
    const scope = Scope.root(`${name}.`);
    const config = caseTransformer(parityCase.config, name);
    return { scope, model: new VarTransformer(scope, config, tokenizer.config.vocabSize) };
  };
  const { scope: varScope, model } = transformer("var");
  const generator = new VarGenerator(tokenizer, model, weights, "vae.quantize.embedding.weight", device);
  const { plan } = tokenizer;

  const { run, compute } = caseRuns(weights, device);
  async function decodeScales(ids: Value, scales: readonly number[]): Promise<Value[]> {
    const { reconstructions } = await run(reconstructGraph(tokenizer), { ids });
    const images: Value[] = [];
    for (const s of scales) {
      const { images: image } = await run(decodeGraph(tokenizer), {
        features: pick(reconstructions as Value, s),
      });
      images.push(image as Value);
    }
    return images;
  }
  async function logits(name: string, { tensor }: ParityInputs): Promise<Record<string, Value>> {
    const { model: chosen } = transformer(name);
    const given = { labels: tensor("labels"), inputs: tensor("x_BLCv_wo_first_l") };
    return compute(given, ({ labels, inputs }) => ({ logits: chosen.logits(labels, inputs) }));
  }
  async function generate(labels: Value, options: GenerateOptions, exponential?: Float32Array) {
    const streams = Array.from(labels.data, (_, i) => RandomStream.from(0, `parity/${i}`));
    const results: ScaleResult[] = [];
    const noise = { streams, ...(exponential !== undefined && { exponential }) };
    for await (const result of generator.generate(labels.data as Int32Array, options, noise))
      results.push(result);
    const batch = labels.data.length;
    const ids = joinParts(
      results.map(({ ids: data, group: scale }) => ({ data, width: scale.size })),
      batch,
    );
    const vocab = tokenizer.config.vocabSize;
    const guided = joinParts(
      results.map(({ logits: { data }, group: scale }) => ({ data, width: scale.size * vocab })),
      batch,
    );
    const last = results[results.length - 1] as ScaleResult; // a plan has at least one scale
    const image = toUnit(await generator.decode(last.total));
    return {
      idx: ints(ids, [batch, plan.length]),
      guided_logits: floats(guided, [batch, plan.length, vocab]),
      ...pictureOutputs(image),
    };
  }
  return {
    encode: async ({ tensor }) => ({
      f: (await run(encodeGraph(tokenizer), { images: tensor("image") })).features as Value,
    }),
    tokenize: async ({ tensor }) => {
      const { ids, reconstructions } = await run(tokenizeGraph(tokenizer), { images: tensor("image") });
      return { idx: ids as Value, f_hat_scales: reconstructions as Value };
    },
    decode: async ({ tensor }) =>
      pictureOutputs((await decodeScales(tensor("idx"), [plan.groups.length - 1]))[0] as Value),
    "decode-progressive": async ({ tensor }) => {
      const images = (
        await decodeScales(
          tensor("idx"),
          plan.groups.map((group) => group.index),
        )
      ).map(area4);
      const [batch = 0, ...rest] = images[0]?.shape ?? [];
      const width = rest.reduce((a, b) => a * b, 1);
      const joined = joinParts(
        images.map(({ data }) => ({ data, width })),
        batch,
      );
      return { images_area4: floats(joined, [batch, images.length, ...rest]) };
    },
    "vae-forward": async ({ tensor }) => {
      const image = tensor("image");
      const side = image.shape[3] as number; // pictures are B x 3 x H x W
      const { reconstruction, vqLoss } = await compute({ images: image }, ({ images }) => {
        const { ids, ...outputs } = tokenizer.forward(images);
        return outputs;
      });
      const { data, shape } = reconstruction as Value;
      const [batch = 0, channels = 0] = shape;
      const rows = Array.from({ length: batch * channels }, (_, map) =>
        Array.from((data as Float32Array).subarray(map * side * side, map * side * side + side)),
      ).flat();
      return {
        vq_loss: vqLoss as Value,
        reconstruction_area4: area4(reconstruction as Value),
        reconstruction_row0: floats(rows, [batch, channels, side]),
      };
    },
    "vae-loss-grad": async ({ tensor }) => {
      const graph = tokenizerTraining(vaeScope, tokenizer, { l1: 0, l2: 1, vq: 1, perceptual: 0 });
      return renameGradients(await run(graph, { images: tensor("image") }), "vae.");
    },
    "teacher-input": async ({ tensor }) => {
      return compute({ ids: tensor("idx") }, ({ ids }) => ({
        x_BLCv_wo_first_l: tokenizer.teacherInput(ids),
      }));
    },
    logits: (inputs) => logits("var", inputs),
    "logits-shared-aln": (inputs) => logits("var_shared", inputs),
    loss: async ({ tensor }) => {
      return compute({ labels: tensor("labels"), ids: tensor("idx") }, ({ labels, ids }) => {
        const { losses } = tokenLosses(tokenizer, model, labels, ids);
        return { loss: totalLoss(losses), token_loss: losses };
      });
    },
    "loss-grad": async ({ tensor }) => {
      const graph = transformerTraining(varScope, tokenizer, model);
      return renameGradients(await run(graph, { labels: tensor("labels"), ids: tensor("idx") }), "var.");
    },
    mask: async () => ({ hidden: bools(blockCausal.hidden(plan), [plan.length, plan.length]) }),
    "sample-greedy": (inputs) => generate(inputs.tensor("labels"), generateOptions(inputs)),
    "sample-smooth": async (inputs) => {
      const exponential = inputs.tensor("exponential").data as Float32Array; // recorded draws are float32
      const { image } = await generate(
        inputs.tensor("labels"),
        { ...generateOptions(inputs), smooth: true },
        exponential,
      );
      return pictureOutputs(image);
    },
    inpaint: async (inputs) => {
      const { tensor, args } = inputs;
      const number = (name: string): number => numberArg(inputs, name);
      const box = { y0: number("y0"), x0: number("x0"), y1: number("y1"), x1: number("x1") };
      const { side } = tokenizer.vq;
      const mask = boxMask(side, box, args.inpainting === true);
      const edit = editPlan(plan, mask, tensor("idx").data as Int32Array); // ids are integers
      const { idx, image } = await generate(tensor("labels"), { ...generateOptions(inputs), edit });
      return { edit_mask: floats(mask, [side, side]), sampled_idx: idx, ...pictureOutputs(image) };
    },
    "filter-probabilities": async ({ tensor, args }) => {
      const { data, shape } = tensor("logits");
      const width = shape[shape.length - 1] as number; // logits have a last axis
      const out = new Float32Array(data.length);
      for (let row = 0; row < data.length; row += width) {
        const values = (data as Float32Array).subarray(row, row + width); // logits are float32
        const { ids, probabilities } = filteredProbabilities(
          values,
          numberArg({ args }, "top_k"),
          numberArg({ args }, "top_p"),
        );
        ids.forEach((id, k) => {
          out[row + id] = probabilities[k] as number; // same length
        });
      }
      return { probabilities: floats(out, shape) };
    },
    [Symbol.dispose]: () => generator[Symbol.dispose](),
  };
}
