/**
 * HMAR's parity table: from the `run` names of reference cases to the functions that train and sample. Inputs and outputs
 * follow the case folder's README (prefixes `vae.`, `nsp.`, `mp.`; pictures pooled 4 x 4 where names say so).
 */
import { decodeGraph, reconstructGraph, tokenizeGraph } from "../../codec/multiScalePrograms.ts";
import { maskedCounts } from "../../context/maskedSites.ts";
import { ownGroup } from "../../context/ownGroup.ts";
import {
  countsArg,
  numberArg,
  type ParityCase,
  type ParityInputs,
  type ParityTable,
} from "../../formats/parityCase.ts";
import { validate } from "../../formats/validate.ts";
import type { Weights } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import type { Plan, Scale } from "../../plan/types.ts";
import { caseTokenizer, caseTransformer } from "../../regimen/multiScaleParity.ts";
import { caseRuns, joinParts, pictureOutputs, renameGradients } from "../../regimen/parityTools.ts";
import { scaleWeightings, tokenWeights } from "../../regimen/scaleWeights.ts";
import { tokenLosses, totalLoss, transformerTraining } from "../../regimen/teacherForcedScales.ts";
import type { Device } from "../../runtime/device.ts";
import { bools, floats, ints, type Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { RandomStream } from "../../tensor/random.ts";
import { buildHmar, maskedPrefix, nextScalePrefix } from "./build.ts";
import { hmarModelSchema } from "./config.ts";
import { HmarGenerator, type ScaleResult } from "./generate.ts";
import { maskedLosses, maskedTraining } from "./objective.ts";
import { type RefineSchedule, withoutRefinement } from "./refineSchedule.ts";

/** Last layers of its own: the case's, else those in its weights (code: 8 of `HMAR`, 2 of `MaskedPrediction`). */
function tailOf({ n_layers_train: given }: ParityCase["config"], depth: number, weights: Weights): unknown {
  if (given !== undefined) return given;
  const own = [...weights.keys()].map((name) => Number(/^mp\.blocks\.(\d+)\./.exec(name)?.[1] ?? depth));
  return depth - Math.min(depth, ...own);
}

/** The table of one case. `weights` are the case's, by prefixed name. */
export function hmarParity(
  { config }: ParityCase,
  weights: Weights,
  device: Device,
): ParityTable & Disposable {
  const transformer = caseTransformer(config, "transformer");
  const tailLayers = tailOf(config, transformer.depth, weights);
  const given = { tokenizer: caseTokenizer(config), transformer, tailLayers };
  const networks = buildHmar(validate(hmarModelSchema, given, "config"));
  const { tokenizer, nextScale, masked: maskedModel, scopes } = networks;
  const generator = new HmarGenerator(networks, weights, device);
  const { plan } = tokenizer;
  const { firstSize } = nextScale;
  const later = plan.length - firstSize;
  const { run, compute } = caseRuns(weights, device);
  const weightsOf = (of: Plan<Scale>, value: unknown): Float32Array => {
    if (value === "mask_unweighted") return new Float32Array(of.length).fill(1); // code: stage 2's, over masked tokens
    const found = scaleWeightings.find((name) => name === value);
    if (found) return tokenWeights(of, found);
    throw new NextxError("PARITY_BAD_CASE", `Unknown loss weights ${String(value)}.`, { path: "reweight" });
  };
  /** Flags [1, L - N0] of masked positions, which count from the second scale on. */
  const flagsOf = ({ tensor }: ParityInputs): Value => {
    const flags = new Float32Array(later);
    for (const at of tensor("idx_to_mask").data) flags[Number(at)] = 1;
    return floats(flags, [1, later]);
  };
  const tokens = ({ tensor }: ParityInputs) => ({ labels: tensor("labels"), ids: tensor("idx") });
  async function generate(inputs: ParityInputs) {
    const { tensor, args } = inputs;
    const labels = tensor("labels").data as Int32Array; // labels are integers
    // The reference takes the most likely of the filtered codes: our temperature 0.
    const options = {
      cfgScale: numberArg(inputs, "cfg", 1.5),
      ...{ topK: numberArg(inputs, "top_k", 0), topP: numberArg(inputs, "top_p", 0), temperature: 0 },
    };
    const schedule = args.mask === true ? (args.mask_schedule as RefineSchedule) : withoutRefinement(plan);
    const streams = Array.from(labels, (_, i) => RandomStream.from(0, `parity/${i}`));
    const results: ScaleResult[] = [];
    for await (const result of generator.generate(labels, { ...options, schedule }, streams))
      results.push(result);
    const join = (parts: readonly { data: ArrayLike<number>; width: number }[]) =>
      joinParts(parts, labels.length);
    const flags = results.flatMap(({ masked, group }) => masked.map((data) => ({ data, width: group.size })));
    const last = results.at(-1) as ScaleResult; // a plan has at least one scale
    const { data, shape } = await generator.decode(last.total);
    const image = floats(
      Float32Array.from(data, (value) => (value + 1) / 2),
      shape,
    );
    return {
      idx: ints(join(results.map(({ tokens: data, group }) => ({ data, width: group.size }))), [
        labels.length,
        plan.length,
      ]),
      masked: bools(Uint8Array.from(join(flags)), [
        labels.length,
        flags.reduce((sum, { width }) => sum + width, 0),
      ]),
      ...pictureOutputs(image),
    };
  }
  return {
    tokenize: async ({ tensor }) => ({
      idx: (await run(tokenizeGraph(tokenizer), { images: tensor("image") })).ids as Value,
    }),
    decode: async ({ tensor }) => {
      const { reconstructions } = await run(reconstructGraph(tokenizer), { ids: tensor("idx") });
      const { data, shape } = reconstructions as Value; // (B, S, D, P, P)
      const [batch = 0, scales = 1, ...rest] = shape;
      const size = rest.reduce((a, b) => a * b, 1);
      const features = new Float32Array(batch * size);
      for (let b = 0; b < batch; b++) {
        const from = (b * scales + scales - 1) * size;
        features.set((data as Float32Array).subarray(from, from + size), b * size); // features are float32
      }
      const { images } = await run(decodeGraph(tokenizer), { features: floats(features, [batch, ...rest]) });
      return pictureOutputs(images as Value);
    },
    "teacher-input": async ({ tensor }) =>
      compute({ ids: tensor("idx") }, ({ ids }) => ({ x_ns: tokenizer.teacherInput(ids) })),
    "mask-input": async ({ tensor, args }) => {
      const counts = maskedCounts(plan, numberArg({ args }, "p_mask"));
      const own = await compute({ ids: tensor("idx") }, ({ ids }) => ({
        x_mask: tokenizer.vq.ownInput(ids),
      }));
      return { ...own, counts: ints(counts, [counts.length]) };
    },
    mask: async () => ({ hidden: bools(ownGroup.hidden(plan), [plan.length, plan.length]) }),
    logits: async ({ tensor }) =>
      compute({ labels: tensor("labels"), inputs: tensor("x_ns") }, ({ labels, inputs }) => ({
        logits: nextScale.logits(labels, inputs),
      })),
    "mask-logits": async (inputs) => {
      const { tensor } = inputs;
      const given = { labels: tensor("labels"), inputs: tensor("x_ns"), own: tensor("x_mask") };
      return compute({ ...given, masked: flagsOf(inputs) }, (x) => ({
        logits: maskedModel.logits(x.labels, x.inputs, x.own, x.masked),
      }));
    },
    "loss-weights": async ({ args }) => {
      const own = args.patch_nums === undefined ? plan : scalePlan(countsArg({ args }, "patch_nums"));
      return { weights: floats(weightsOf(own, args.loss_reweight_type), [1, own.length]) };
    },
    loss: async (inputs) => {
      const weights = weightsOf(plan, inputs.args.reweight);
      return compute(tokens(inputs), ({ labels, ids }) => ({
        loss: totalLoss(tokenLosses(tokenizer, nextScale, labels, ids).losses, weights),
      }));
    },
    "loss-grad": async (inputs) => {
      const weights = weightsOf(plan, inputs.args.reweight);
      const graph = transformerTraining(scopes.nextScale, tokenizer, nextScale, weights);
      return renameGradients(await run(graph, tokens(inputs)), nextScalePrefix);
    },
    "mask-loss": async (inputs) =>
      compute({ ...tokens(inputs), masked: flagsOf(inputs) }, ({ labels, ids, masked }) => ({
        loss: maskedLosses(networks, labels, ids, masked, { from: 1 }).loss,
      })),
    "mask-loss-grad": async (inputs) =>
      renameGradients(
        await run(maskedTraining(networks, 1), { ...tokens(inputs), masked: flagsOf(inputs) }),
        maskedPrefix,
      ),
    "sample-argmax": generate,
    [Symbol.dispose]: () => generator[Symbol.dispose](),
  };
}
