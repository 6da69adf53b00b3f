/**
 * xAR's parity table: from the `run` names of reference cases to the functions that train and sample. Reference tensors of
 * entities stand entity first, [G, B, sites, D]; ours picture first.
 */
import { blockCausal } from "../../context/blockCausal.ts";
import { randomNoise } from "../../context/noisyPast.ts";
import { FlowGroupDecoder } from "../../decoding/flowGroupGenerator.ts";
import { solverTimes } from "../../decoding/flowPaths.ts";
import { scoreOf } from "../../decoding/flowSolvers.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import {
  badCase,
  countArg,
  fromOfficial,
  numberArg,
  type ParityCase,
  type ParityInputs,
  type ParityTable,
  shapedInput,
  sizeKey,
} from "../../formats/parityCase.ts";
import { placeAngles } from "../../nn/rotary.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { timeId } from "../../nn/timeEmbedding.ts";
import { arrangeAll, restoreAll } from "../../plan/entities.ts";
import type { Group } from "../../plan/types.ts";
import { caseRuns, labelsOf, renameGradients, withoutInert } from "../../regimen/parityTools.ts";
import type { Device } from "../../runtime/device.ts";
import { bools, floats, type Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { transformerSchema } from "./config.ts";
import { type GenerateOptions, generateEntities } from "./generate.ts";
import { XarTransformer } from "./model.ts";
import { flowObjective, flowTraining, timeValues } from "./objective.ts";

/** What a case leaves out. Source: `models/xar.py`, constructor of `xAR` (code). */
const constructorDefaults = {
  ...{ img_size: 256, vae_stride: 16, patch_size: 1, vae_embed_dim: 16, clusters: 4 },
  ...{ encoder_embed_dim: 1024, encoder_depth: 16, encoder_num_heads: 16 },
  ...{ decoder_embed_dim: 1024, decoder_depth: 16, decoder_num_heads: 16 },
  ...{ mlp_ratio: 4, label_drop_prob: 0.1, class_num: 1000 },
};

/** The model of an official configuration: square cells over the map of a picture, a patch of latents per site. */
function modelOf({ config }: ParityCase, scope: Scope, weights: Weights): XarTransformer {
  const official = { ...constructorDefaults, ...withoutInert(config) };
  const { img_size, vae_stride, patch_size, vae_embed_dim, clusters, decoder_embed_dim, ...rest } = official;
  if (decoder_embed_dim !== rest.encoder_embed_dim)
    throw badCase("Encoder and decoder have one width.", "config.decoder_embed_dim");
  // The table has 1000 classes and a null class whatever class_num says (code).
  const rows = weights.get("class_emb.weight")?.shape[0];
  const parsed = fromOfficial(transformerSchema, {
    ...rest,
    ...(rows !== undefined && { class_num: rows - 1 }),
  });
  const patch = sizeKey(official, "patch_size");
  const parts = Math.sqrt(sizeKey(official, "clusters"));
  // code: what is left of a picture or a map at its end is cut off; patches are the caller's, whose latents come in them.
  const side = Math.floor(sizeKey(official, "img_size") / sizeKey(official, "vae_stride") / patch);
  const width = sizeKey(official, "vae_embed_dim") * patch ** 2;
  return new XarTransformer(scope, { ...parsed, entity: "cell", parts }, side, width);
}

/** [G, B, ...] -> [B, G, ...], flat. */
function pictureFirst({ data, shape: [groups = 0, batch = 0] }: Value): Float32Array {
  const length = data.length / groups / batch;
  const out = new Float32Array(data.length);
  for (let g = 0; g < groups; g++)
    for (let b = 0; b < batch; b++) {
      const from = (g * batch + b) * length;
      out.set((data as Float32Array).subarray(from, from + length), (b * groups + g) * length); // values are float32
    }
  return out;
}

/** The table of one case. `weights` are the case's. */
export function xarParity(
  parityCase: ParityCase,
  weights: Weights,
  device: Device,
): ParityTable & Disposable {
  const { run, compute } = caseRuns(weights, device);
  const scope = Scope.root();
  const model = modelOf(parityCase, scope, weights);
  const { plan, valueWidth } = model;
  const programs = new ProgramStore(weights, device);
  const length = plan.length * valueWidth;
  const [groups, cellSize] = [plan.groups.length, plan.length / plan.groups.length];
  const arranged = (inputs: ParityInputs): Value => {
    const { data, shape } = shapedInput(inputs, "latents", [-1, valueWidth, plan.side, plan.side]);
    const [batch = 0] = shape;
    return floats(arrangeAll(plan, data as Float32Array, batch), [batch, plan.length, valueWidth]); // latents are float32
  };
  const training = (inputs: ParityInputs): Record<string, Value> => {
    const latents = arranged(inputs);
    const [batch = 0] = latents.shape;
    const noise = shapedInput(inputs, "noise", [groups, batch, cellSize, valueWidth]);
    const times = shapedInput(inputs, "times", [groups, batch]);
    return {
      ...{ latents, labels: labelsOf(inputs, model.conditioner) },
      noise: floats(pictureFirst(noise), latents.shape),
      ...timeValues(plan, randomNoise, pictureFirst(times)),
    };
  };
  const objective = async (inputs: ParityInputs) =>
    compute(training(inputs), (x) => {
      const { velocity, encoded, loss } = flowObjective(model, randomNoise, x);
      return { velocity, encoder: encoded, loss };
    });
  /** All values [B, L, D] of a generation with given noise. */
  async function generated(inputs: ParityInputs): Promise<Float32Array> {
    const { args } = inputs;
    const labels = labelsOf(inputs, model.conditioner).data;
    const options: GenerateOptions = {
      solver: args.sampler === "euler" ? "euler" : "euler-maruyama",
      steps: countArg(inputs, "num_steps"),
      cfgScale: numberArg(inputs, "cfg", 1) - 1,
    };
    const noiseShape = [labels.length, cellSize, valueWidth];
    const initial = shapedInput(inputs, "initial_noise", [groups, ...noiseShape]).data;
    const stepCount = options.steps - 1; // the last step has no noise
    const stepNoise = () => shapedInput(inputs, "step_noise", [groups, stepCount, ...noiseShape]).data;
    const steps = options.solver === "euler" || stepCount === 0 ? new Float32Array(0) : stepNoise();
    const ids = solverTimes(options).slice(0, -1).map(timeId);
    if (args.time_ids !== undefined && String(args.time_ids) !== String(ids))
      throw new NextxError("PARITY_OTHER_STEPS", `Times ${ids}, expected ${args.time_ids}.`);
    const part = (data: Value["data"], at: number, size: number) =>
      (data as Float32Array).subarray(at * size, (at + 1) * size); // noise is float32
    const count = ({ size }: Group) => labels.length * size * valueWidth;
    const noise = {
      initial: (group: Group) => part(initial, group.index, count(group)),
      step: (group: Group, step: number) => part(steps, group.index * stepCount + step, count(group)),
    };
    let sequence: Float32Array = new Float32Array(0);
    for await (const result of generateEntities(model, programs, labels, options, noise))
      sequence = result.sequence;
    return sequence;
  }
  /** One pass of a generation: the cache is what the passes before it left. */
  async function denoise(inputs: ParityInputs): Promise<Record<string, Value>> {
    const cell = countArg(inputs, "cell", 0);
    const group = plan.groups[cell];
    if (group === undefined) throw badCase(`Cells are 0 to ${groups - 1}, got ${cell}.`, "args.cell");
    const labels = labelsOf(inputs, model.conditioner).data;
    const x = shapedInput(inputs, "x", [labels.length, -1, valueWidth]);
    const times = inputs.tensor("time_ids").data;
    const [rows = 0, fed = 0] = x.shape;
    if (fed !== group.size && (cell === 0 || fed !== 2 * group.size))
      throw badCase(`A pass takes a cell, or it and the one before it, got ${fed} sites.`, "inputs.x");
    const past = new FlowGroupDecoder(model, programs, labels, 1);
    const site = (row: number, from: number, to: number) =>
      (x.data as Float32Array).subarray((row * fed + from) * valueWidth, (row * fed + to) * valueWidth); // values are float32
    const over = (from: number, to: number) =>
      Float32Array.from(Array.from({ length: rows }, (_, row) => Array.from(site(row, from, to))).flat());
    const before = plan.groups.slice(0, group.index);
    const known = fed > group.size ? before.slice(0, -1) : before;
    const values = known.length === 0 ? new Float32Array(0) : await generated(inputs.related("sample"));
    const batch = values.length / length;
    for (const { index, start, size } of known) {
      const own = Array.from({ length: rows }, (_, row) => {
        const at = (row % batch) * length + start * valueWidth;
        return Array.from(values.subarray(at, at + size * valueWidth));
      });
      past.commit(plan.groups[index] as Group, own.flat());
      const next = plan.groups[index + 1] as Group; // the group of the check comes after
      await past.velocity(next, new Float32Array(rows * next.size * valueWidth), 1000); // what a pass keeps is clean
    }
    const last = before.at(-1);
    if (fed > group.size && last !== undefined) past.commit(last, over(0, fed - group.size));
    const id = Number(times[times.length - 1]);
    const { conditional } = await past.velocity(group, over(fed - group.size, fed), id);
    return { velocity: floats(conditional, [rows, group.size, valueWidth]) };
  }
  return {
    clusterify: async (inputs) => {
      const { data, shape } = arranged(inputs);
      return { cells: floats(data as Float32Array, [shape[0] ?? 0, groups, cellSize, valueWidth]) };
    },
    "position-table": async () => {
      const width = model.layers[0]?.width ?? 0;
      const { cos, sin } = placeAngles(plan.places, width);
      return { cos: floats(cos, [plan.length, width]), sin: floats(sin, [plan.length, width]) };
    },
    "attention-mask": async () => {
      const visible = blockCausal.hidden(plan).map((hidden) => 1 - hidden);
      return { mask: bools(visible, [plan.length, plan.length]) };
    },
    logits: objective,
    loss: objective,
    "loss-grad": async (inputs) => {
      const graph = flowTraining(scope, model, randomNoise);
      return renameGradients(await run(graph, training(inputs)), "");
    },
    sample: async (inputs) => {
      const sequence = await generated(inputs);
      const batch = sequence.length / length;
      const shape = [batch, valueWidth, plan.side, plan.side];
      return { latents: floats(restoreAll(plan, sequence, batch), shape) };
    },
    "denoise-step": denoise,
    score: async (inputs) => {
      const { data, shape } = inputs.tensor("velocity");
      const x = shapedInput(inputs, "x", shape).data;
      const times = shapedInput(inputs, "times", [shape[0] ?? 0]).data;
      const size = data.length / times.length;
      const score = Float32Array.from(
        data,
        (v, i) => scoreOf(v, x[i] as number, times[Math.floor(i / size)] as number), // same length, one time per row
      );
      return { score: floats(score, shape) };
    },
    [Symbol.dispose]: () => programs[Symbol.dispose](),
  };
}
