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
  fromOfficial,
  type ParityCase,
  type ParityInputs,
  type ParityTable,
} from "../../formats/parityCase.ts";
import { placeAngles } from "../../nn/rotary.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { timeId } from "../../nn/timeEmbedding.ts";
import { arrangeAll, restoreAll } from "../../plan/entities.ts";
import type { Group } from "../../plan/types.ts";
import { renameGradients, runOnce, withoutInert } from "../../regimen/parityTools.ts";
import type { Device } from "../../runtime/device.ts";
import { trace } from "../../runtime/trace.ts";
import { bools, floats, type Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { transformerSchema } from "./config.ts";
import { type GenerateOptions, generateEntities } from "./generate.ts";
import { XarTransformer } from "./model.ts";
import { flowObjective, flowSpecs, flowTraining, timeValues } from "./objective.ts";

const bad = (message: string, path: string) => new NextxError("PARITY_BAD_CASE", message, { path });

/** The model of an official configuration: square cells over the map of a picture. */
function modelOf({ config }: ParityCase, scope: Scope, weights: Weights): XarTransformer {
  const { img_size, vae_stride, patch_size, vae_embed_dim, clusters, decoder_embed_dim, ...rest } =
    withoutInert(config);
  if (Number(patch_size ?? 1) !== 1) throw bad("Patches of latents are not built.", "config.patch_size");
  if (decoder_embed_dim !== undefined && decoder_embed_dim !== rest.encoder_embed_dim)
    throw bad("Encoder and decoder have one width.", "config.decoder_embed_dim");
  // The table has 1000 classes and a null class whatever class_num says (code).
  const rows = weights.get("class_emb.weight")?.shape[0];
  const parsed = fromOfficial(transformerSchema, {
    ...rest,
    ...(rows !== undefined && { class_num: rows - 1 }),
  });
  const parts = Math.sqrt(Number(clusters ?? 4));
  const side = Number(img_size) / Number(vae_stride);
  return new XarTransformer(scope, { ...parsed, entity: "cell", parts }, side, Number(vae_embed_dim));
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
  const scope = Scope.root();
  const model = modelOf(parityCase, scope, weights);
  const { plan, valueWidth } = model;
  const programs = new ProgramStore(weights, device);
  const length = plan.length * valueWidth;
  const arranged = ({ data, shape: [batch = 0] }: Value): Value =>
    floats(arrangeAll(plan, data as Float32Array, batch), [batch, plan.length, valueWidth]); // latents are float32
  const training = ({ tensor }: ParityInputs): Record<string, Value> => {
    const [latents, noise] = [arranged(tensor("latents")), tensor("noise")];
    return {
      ...{ latents, labels: tensor("labels"), noise: floats(pictureFirst(noise), latents.shape) },
      ...timeValues(plan, randomNoise, pictureFirst(tensor("times"))),
    };
  };
  const objective = () =>
    trace(flowSpecs(model, randomNoise), (inputs) => {
      const { velocity, encoded, loss } = flowObjective(model, randomNoise, inputs);
      return { velocity, encoder: encoded, loss };
    });
  /** All values [B, L, D] of a generation with given noise. */
  async function generated({ tensor, args }: ParityInputs): Promise<Float32Array> {
    const labels = tensor("labels").data as Int32Array; // labels are integers
    const [initial, steps] = [tensor("initial_noise").data, tensor("step_noise")] as const;
    const [, stepCount = 0] = steps.shape;
    const solver = args.sampler === "euler" ? "euler" : "euler-maruyama";
    const options: GenerateOptions = {
      solver,
      steps: Number(args.num_steps),
      cfgScale: Number(args.cfg) - 1,
    };
    const ids = solverTimes(options).slice(0, -1).map(timeId);
    if (Array.isArray(args.time_ids) && String(args.time_ids) !== String(ids))
      throw new NextxError("PARITY_OTHER_STEPS", `Times ${ids}, expected ${args.time_ids}.`);
    const part = (data: Value["data"], at: number, size: number) =>
      (data as Float32Array).subarray(at * size, (at + 1) * size); // noise is float32
    const count = ({ size }: Group) => labels.length * size * valueWidth;
    const noise = {
      initial: (group: Group) => part(initial, group.index, count(group)),
      step: (group: Group, step: number) => part(steps.data, group.index * stepCount + step, count(group)),
    };
    let sequence: Float32Array = new Float32Array(0);
    for await (const result of generateEntities(model, programs, labels, options, noise))
      sequence = result.sequence;
    return sequence;
  }
  /** One pass of a generation: the cache is what the passes before it left. */
  async function denoise({ tensor, args, related }: ParityInputs): Promise<Record<string, Value>> {
    const group = plan.groups[Number(args.cell)] as Group; // the case's cells are the plan's
    const [x, times] = [tensor("x"), tensor("time_ids").data];
    const labels = tensor("labels").data as Int32Array; // labels are integers
    const [rows = 0, fed = 0] = x.shape;
    const past = new FlowGroupDecoder(model, programs, labels, 1);
    const site = (row: number, from: number, to: number) =>
      (x.data as Float32Array).subarray((row * fed + from) * valueWidth, (row * fed + to) * valueWidth); // values are float32
    const over = (from: number, to: number) =>
      Float32Array.from(Array.from({ length: rows }, (_, row) => Array.from(site(row, from, to))).flat());
    const before = plan.groups.slice(0, group.index);
    const known = fed > group.size ? before.slice(0, -1) : before;
    const values = known.length === 0 ? new Float32Array(0) : await generated(related("sample"));
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
    clusterify: async ({ tensor }) => {
      const { data, shape } = arranged(tensor("latents"));
      const groups = plan.groups.length;
      return {
        cells: floats(data as Float32Array, [shape[0] ?? 0, groups, plan.length / groups, valueWidth]),
      };
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
    logits: async (inputs) => runOnce(objective(), training(inputs), weights, device),
    loss: async (inputs) => runOnce(objective(), training(inputs), weights, device),
    "loss-grad": async (inputs) => {
      const graph = flowTraining(scope, model, randomNoise);
      return renameGradients(await runOnce(graph, training(inputs), weights, device), "");
    },
    sample: async (inputs) => {
      const sequence = await generated(inputs);
      const batch = sequence.length / length;
      const shape = [batch, valueWidth, plan.side, plan.side];
      return { latents: floats(restoreAll(plan, sequence, batch), shape) };
    },
    "denoise-step": denoise,
    score: async ({ tensor }) => {
      const { data, shape } = tensor("velocity");
      const [x, times] = [tensor("x").data, tensor("times").data];
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
