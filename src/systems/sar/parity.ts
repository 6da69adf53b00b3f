/**
 * SAR's parity table: from the `run` names of reference cases to the functions that train and sample. Inputs and outputs
 * follow the case folder's README (prefixes `vae.` and `var.`; pictures pooled 4 x 4 where names say so; the gradient of
 * `pos_1LC` for its first 6 channels).
 */
import { nextMatrix, poolMatrix } from "../../codec/scaleMatrices.ts";
import {
  caseConfig,
  countArg,
  countsArg,
  fromOfficial,
  numberArg,
  type ParityCase,
  type ParityInputs,
  type ParityTable,
} from "../../formats/parityCase.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { requireGrowing, scalePlan } from "../../plan/scales.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import { officialMultipliers } from "../../regimen/autoencoderFields.ts";
import { forcedTraining } from "../../regimen/forcedTraining.ts";
import { transformerDefaults } from "../../regimen/multiScaleParity.ts";
import {
  area4,
  caseRuns,
  joinParts,
  meanOutputs,
  pictureOutputs,
  renameGradients,
  withoutInert,
} from "../../regimen/parityTools.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
import { RandomStream } from "../../tensor/random.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { tokenizerSchema, transformerSchema } from "./config.ts";
import { codeMap, FlexGenerator } from "./generate.ts";
import { FlexTransformer, positionTable } from "./model.ts";
import { parityStep } from "./parityStep.ts";
import { codesGraph, decodeGraph, encodeGraph, tokenizeGraph } from "./programs.ts";
import { FlexScaleWise } from "./scaleWise.ts";
import { FlexTokenizer } from "./tokenizer.ts";
import { tokenizerLosses, tokenizerTraining, tokenizerValues } from "./tokenizerObjective.ts";

type Outputs = Record<string, Value>;
type Args = Readonly<Record<string, unknown>>;

/** What a case leaves out. Source: `models/vq_llama.py`, `ModelArgs`; `models/flexvar.py`, whose are VAR's (code). */
const constructorDefaults = {
  vq: {
    ...{ codebook_size: 16384, codebook_embed_dim: 8, codebook_l2_norm: true, z_channels: 256, ch: 128 },
    ...{ commit_loss_beta: 0.25, entropy_loss_ratio: 0, num_res_blocks: 2 },
    ...{ encoder_ch_mult: officialMultipliers, decoder_ch_mult: officialMultipliers },
  },
  var: transformerDefaults,
};

const official = (
  parityCase: ParityCase,
  name: keyof typeof constructorDefaults,
): Record<string, unknown> => ({
  ...constructorDefaults[name],
  ...withoutInert(caseConfig(parityCase.config, name)),
});

/** The schedule an argument names. */
const planOf = (args: Args, name: string): Plan<Scale> =>
  scalePlan(requireGrowing(countsArg({ args }, name)));

/** First 6 channels of the position map's gradient. */
function cutPositions(outputs: Outputs): Outputs {
  const value = outputs["grad.pos_1LC"];
  if (value === undefined) return outputs;
  const { data, shape } = value;
  const [, channels = 1, rows = 0, columns = 0] = shape;
  const kept = Math.min(6, channels);
  const cut = (data as Float32Array).slice(0, kept * rows * columns); // gradients are float32
  return { ...outputs, "grad.pos_1LC": floats(cut, [1, kept, rows, columns]) };
}

const gradients = (outputs: Outputs): Outputs => cutPositions(renameGradients(outputs, "var."));

/** The table of one case. `weights` are the case's, by prefixed name. */
export function sarParity(
  parityCase: ParityCase,
  weights: Weights,
  device: Device,
): ParityTable & Disposable {
  const scopes = { vae: Scope.root("vae."), var: Scope.root("var.") };
  const tokenizer = new FlexTokenizer(scopes.vae, fromOfficial(tokenizerSchema, official(parityCase, "vq")));
  // references are in evaluation mode, without drop path
  const config = { ...fromOfficial(transformerSchema, official(parityCase, "var")), dropPathRate: 0 };
  const model = new FlexTransformer(scopes.var, config, tokenizer.config.vocabSize);
  const generator = new FlexGenerator(tokenizer, model, weights, device);
  const smoothing = Number(
    ("trainer" in parityCase.config && caseConfig(parityCase.config, "trainer").label_smooth) || 0,
  );
  const { run, compute } = caseRuns(weights, device);
  const scaleWise = (plan: Plan<Scale>) => new FlexScaleWise(tokenizer, model, plan.groups[0]?.size ?? 1);
  const sideOf = (image: Value): number => image.shape[3] as number; // pictures are B x 3 x H x W

  async function decode({ tensor, args }: ParityInputs): Promise<Outputs> {
    const side = countArg({ args }, "side");
    const ids = tensor("idx");
    const { codes } = await run(codesGraph(tokenizer), {});
    const book = codes?.data as Float32Array; // the graph's output
    const width = tokenizer.config.codeWidth;
    const rows = Float32Array.from({ length: ids.data.length * width }, (_, i) => {
      return book[(ids.data[Math.floor(i / width)] as number) * width + (i % width)] as number; // in range
    });
    const scale = { index: 0, start: 0, size: side * side, side };
    const features = codeMap(rows, ids.shape[0] ?? 0, scale);
    const { images } = await run(decodeGraph(tokenizer), { features });
    return pictureOutputs(images as Value);
  }

  async function vaeForward({ tensor, args }: ParityInputs): Promise<Outputs> {
    const image = tensor("image");
    const sides = countsArg({ args }, "v_patch_nums");
    const given = { images: image, ...tokenizerValues(tokenizer, sides, sideOf(image)) };
    const out = await compute(given, (inputs) => {
      const { vq, commit, reconstructions } = tokenizerLosses(tokenizer, inputs, sides.length);
      const pictures = reconstructions.map((picture, k) => [`picture${k}`, picture] as const);
      return { vq_loss: vq, commit_loss: commit, ...Object.fromEntries(pictures) };
    });
    const pictures = sides.map((side, k) => [
      `reconstruction_${side}_area4`,
      area4(out[`picture${k}`] as Value),
    ]);
    return { ...out, ...Object.fromEntries(pictures) };
  }

  /** One program for one drawn side, run for every side: the mean over sides is the mean of its results. */
  async function vaeGradients({ tensor, args }: ParityInputs): Promise<Outputs> {
    const images = tensor("image");
    const sides = countsArg({ args }, "v_patch_nums");
    const graph = tokenizerTraining(scopes.vae, tokenizer, 1, { l1: 0, l2: 1, vq: 1 }, sideOf(images));
    using program = await compile(graph, { device, weights, prepack: false });
    const results: Outputs[] = [];
    for (const side of sides)
      results.push(await program.run({ images, ...tokenizerValues(tokenizer, [side], sideOf(images)) }));
    return renameGradients(meanOutputs(results), "vae.");
  }

  async function logits({ tensor, args }: ParityInputs): Promise<Outputs> {
    const plan = planOf(args, "patch_nums");
    const form = scaleWise(plan);
    const given = { labels: tensor("labels"), inputs: tensor("x_BLCv_wo_first_l") };
    const values: Outputs = { ...given, ...form.whole.values(plan) };
    return compute(values, (x) => {
      const get = (name: string): Tensor => x[name] as Tensor; // given above
      const data = { place: get("place"), bias: get("bias"), firstSize: form.firstSize };
      return { logits: model.logits(get("labels"), get("inputs"), data) };
    });
  }

  async function baseLoss({ tensor, args }: ParityInputs): Promise<Outputs> {
    const plan = planOf(args, "patch_nums");
    const form = scaleWise(plan);
    const [labels, ids] = [tensor("labels"), tensor("idx")];
    return gradients(
      await run(forcedTraining(scopes.var, form, smoothing), {
        labels,
        ids,
        past: ids,
        ...form.whole.values(plan),
      }),
    );
  }

  async function generate(inputs: ParityInputs): Promise<Outputs> {
    const { tensor, args } = inputs;
    const labels = tensor("labels");
    const batch = labels.data.length;
    const plan = planOf(args, "infer_patch_nums");
    const streams = Array.from(labels.data, (_, i) => RandomStream.from(0, `parity/${i}`));
    const options = {
      cfgScale: numberArg(inputs, "cfg", 1.5),
      guidance: args.used_llamagen_cfg === true ? ("constant" as const) : ("ramp" as const),
      maxSide: numberArg(inputs, "max_pn", 16),
      topK: numberArg(inputs, "top_k", 0),
      topP: numberArg(inputs, "top_p", 0),
      temperature: 1,
    };
    const results = [];
    for await (const result of generator.generate(labels.data as Int32Array, plan, options, streams))
      results.push(result);
    const last = results[results.length - 1];
    if (last === undefined) return {};
    const { vocabSize } = model;
    const ids = results.map(({ ids: data, group }) => ({ data, width: group.size }));
    const guided = results.map(({ logits: { data }, group }) => ({ data, width: group.size * vocabSize }));
    const image = await generator.decode(last.codes, batch, last.group);
    return {
      idx: ints(joinParts(ids, batch), [batch, plan.length]),
      guided_logits: floats(joinParts(guided, batch), [batch, plan.length, vocabSize]),
      ...pictureOutputs(image),
    };
  }

  return {
    encode: async ({ tensor }) => {
      const image = tensor("image");
      const { features } = await run(encodeGraph(tokenizer, sideOf(image)), { images: image });
      return { h: features as Value };
    },
    tokenize: async ({ tensor, args }) => {
      const image = tensor("image");
      const side = sideOf(image);
      const pool = poolMatrix(side / tokenizer.factor, planOf(args, "patch_nums"));
      const { ids } = await run(tokenizeGraph(tokenizer, side), { images: image, pool });
      return { idx: ids as Value };
    },
    "teacher-input": async ({ tensor, args }) => {
      const next = nextMatrix(planOf(args, "patch_nums"));
      return compute({ ids: tensor("idx"), next }, (x) => ({
        x_BLCv_wo_first_l: tokenizer.nextInput(x.ids, x.next),
      }));
    },
    decode,
    "vae-forward": vaeForward,
    "vae-loss-grad": vaeGradients,
    "position-table": async ({ args }) => {
      const size = (name: string) => countArg({ args }, name);
      const [rows, columns, width] = [size("h"), size("w"), size("d")];
      return { table: floats(positionTable(rows, columns, width), [1, width, rows, columns]) };
    },
    logits,
    loss: baseLoss,
    "loss-grad": baseLoss,
    "sar-step": async (inputs) =>
      gradients(
        await parityStep({
          inputs,
          scope: scopes.var,
          form: scaleWise(planOf(inputs.args, "patch_nums")),
          plan: planOf(inputs.args, "patch_nums"),
          smoothing,
          weights,
          device,
        }),
      ),
    "sample-greedy": generate,
    [Symbol.dispose]: () => generator[Symbol.dispose](),
  };
}
