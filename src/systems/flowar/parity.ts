/** FlowAR's parity table: from the `run` names of reference cases to the functions that train and sample. */
import { drawLatents, KlAutoencoder, klDivergence } from "../../codec/klAutoencoder.ts";
import { asMap } from "../../codec/resize.ts";
import { blockCausal } from "../../context/blockCausal.ts";
import { generateScales, integrateScale } from "../../decoding/flowScaleGenerator.ts";
import { ProgramStore } from "../../decoding/programStore.ts";
import {
  badCase,
  caseConfig,
  countArg,
  fromOfficial,
  numberArg,
  type ParityCase,
  type ParityInputs,
  type ParityTable,
  shapedInput,
  sizeKey,
} from "../../formats/parityCase.ts";
import { placeRotation } from "../../nn/rotary.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { timeFeatures, timeId, timeWaves } from "../../nn/timeEmbedding.ts";
import { scalePlan } from "../../plan/scales.ts";
import { klSchema, officialAttendedLevel } from "../../regimen/klConfig.ts";
import { caseRuns, joinParts, labelsOf, renameGradients, withoutInert } from "../../regimen/parityTools.ts";
import type { Device } from "../../runtime/device.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
import { mul } from "../../tensor/ops/elementwise.ts";
import { transformerSchema } from "./config.ts";
import { officialTimes } from "./flowArModel.ts";
import { type FlowHeadConfig, flowVelocity } from "./flowHead.ts";
import { FlowAr, scalePlaces } from "./model.ts";
import { flowArLoss, flowArTraining, timeInputs } from "./objective.ts";

/** Sampling goes by way of this side, whatever the latents' is (code). */
const sampledSide = 16;
/** Official keys that follow from others, or act only where dropout is on. */
const unread = ["img_size", "vae_stride", "patch_size", "decoder_embed_dim", "double_z", "use_variational"];
/** What a case leaves out. Source: `models/flowar.py`, constructor of `FlowAR` (code). */
const constructorDefaults = {
  ...{ encoder_embed_dim: 1024, encoder_depth: 16, encoder_num_heads: 16 },
  ...{ decoder_embed_dim: 1024, decoder_depth: 16, decoder_num_heads: 16 },
  ...{ patch_size: 1, mlp_ratio: 4, vae_embed_dim: 16, label_drop_prob: 0.1, class_num: 1000 },
  ...{ diffloss_d: 3, diffloss_w: 1024, scale: [1, 2, 4, 8, 16], cross: false },
};
const without = (config: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(withoutInert(config)).filter(([key]) => !unread.includes(key)));

/** The transformer of a case; the table of classes has its own length (code: 1001 rows whatever `class_num` is). */
function readTransformer(config: ParityCase["config"], weights: Weights) {
  const official = { ...constructorDefaults, ...caseConfig(config, "flowar") };
  const { patch_size: patch, encoder_embed_dim: width, decoder_embed_dim: other } = official;
  if (patch !== 1 || other !== width)
    throw badCase("Only patches of 1 and one width for both stacks are known.", "config.flowar");
  const ratio = config.flow_head_mlp_ratio;
  const rows = weights.get("class_emb.weight")?.shape[0];
  return fromOfficial(transformerSchema, {
    ...without(official),
    ...(ratio !== undefined && { flow_head_mlp_ratio: ratio }),
    ...(rows !== undefined && { class_num: rows - 1 }),
  });
}

/** The second flow head of a case, under its constructor's names. */
function readCrossHead(config: ParityCase["config"]) {
  const official = caseConfig(config, "flownet_v2");
  return {
    latentWidth: sizeKey(official, "in_channels"),
    velocityWidth: sizeKey(official, "out_channels"),
    flowWidth: sizeKey(official, "model_channels"),
    flowDepth: sizeKey(official, "num_res_blocks", 0),
    flowMlpRatio: Number(config.flow_head_mlp_ratio ?? 4),
    flowCross: official.cross === true,
  };
}

/** The table of one case. `weights` are the case's. */
export function flowArParity(
  { config }: ParityCase,
  weights: Weights,
  device: Device,
): ParityTable & Disposable {
  const { run, compute } = caseRuns(weights, device);
  const stores: ProgramStore[] = [];
  const programs = () => {
    const store = new ProgramStore(weights, device);
    stores.push(store);
    return store;
  };
  const built = (patchNums?: readonly number[]) => {
    const scope = Scope.root();
    const own = readTransformer(config, weights);
    return { scope, model: new FlowAr(scope, patchNums ? { ...own, patchNums: [...patchNums] } : own) };
  };
  const autoencoder = () => {
    const official = caseConfig(config, "vae");
    if (official.use_variational === false)
      throw badCase("An autoencoder without a posterior is not built.", "config.vae.use_variational");
    const parsed = { ...fromOfficial(klSchema, without(official)), attendedLevel: officialAttendedLevel };
    return new KlAutoencoder(Scope.root("vae."), parsed);
  };
  /** A model whose last scale is the one of these sites. */
  const ofSites = ({ shape: [, sites = 1] }: Value) => {
    const side = Math.sqrt(sites);
    const { model } = built(side === 1 ? [1] : [1, side]);
    return {
      model,
      scale: model.plan.groups[model.plan.groups.length - 1] as (typeof model.plan.groups)[number],
    }; // not empty
  };
  const velocity =
    (scopeName: string, head: () => FlowHeadConfig) =>
    async ({ tensor }: ParityInputs) => {
      const [x, z, t] = [tensor("x"), tensor("z"), tensor("t")];
      const places = scalePlaces(scalePlan([Math.sqrt(x.shape[1] as number)])); // sites of one map
      const times = Array.from(t.data, timeId);
      const waves = floats(timeFeatures(times), [times.length, 1, timeWaves]);
      return compute({ x, z, waves }, (inputs) => ({
        v: flowVelocity(Scope.root(scopeName), head(), inputs.x, inputs.z, inputs.waves, {
          rotation: (width) => placeRotation(places, width),
        }),
      }));
    };
  const lossInputs = (inputs: ParityInputs, { conditioner, plan }: FlowAr) => {
    const { tensor } = inputs;
    const t = shapedInput(inputs, "t", [-1, plan.groups.length]);
    return {
      ...{ labels: labelsOf(inputs, conditioner), latents: tensor("latent"), noise: tensor("noise") },
      ...timeInputs(t.data as Float32Array, plan.groups.length), // times are float32
    };
  };
  return {
    "vae-encode": async ({ tensor }) =>
      compute({ image: tensor("image") }, ({ image }) => {
        const posterior = autoencoder().posterior(image);
        return { mean: posterior.mean, logvar: posterior.logVariance, kl: klDivergence(posterior) };
      }),
    "vae-sample": async ({ tensor }) =>
      compute({ image: tensor("image"), noise: tensor("noise") }, ({ image, noise }) => {
        const codec = autoencoder();
        return { latent: mul(drawLatents(codec.posterior(image), noise), codec.scale) };
      }),
    "vae-decode": async ({ tensor }) =>
      compute({ latent: tensor("latent") }, ({ latent }) => ({ image: autoencoder().decode(latent) })),
    "teacher-input": async ({ tensor }) =>
      compute({ latents: tensor("latent") }, ({ latents }) => {
        const { targets, inputs } = built().model.teacher(latents);
        return { targets, x_input: inputs };
      }),
    condition: async (inputs) => {
      const { model } = built();
      const given = { labels: labelsOf(inputs, model.conditioner), latents: inputs.tensor("latent") };
      return compute(given, ({ labels, latents }) => ({
        z: model.taught(labels, model.teacher(latents).inputs),
      }));
    },
    loss: async (inputs) => {
      const { model } = built();
      return compute(lossInputs(inputs, model), (x) => {
        const { loss, pictureLosses } = flowArLoss(model, x);
        return { loss, loss_per_sample_and_scale: pictureLosses };
      });
    },
    "loss-grad": async (inputs) => {
      const { scope, model } = built();
      const out = await run(flowArTraining(scope, model), lossInputs(inputs, model));
      const gradients = renameGradients(out, "");
      const table = gradients["grad.class_emb.weight"] as Value; // a parameter
      const width = model.config.embedDim;
      const rows = Array.from(
        inputs.tensor("labels").data,
        (label) => Array.from((table.data as Float32Array).subarray(label * width, (label + 1) * width)), // gradients are float32
      );
      return { ...gradients, "grad.class_emb.weight": floats(rows.flat(), [rows.length, width]) };
    },
    mask: async () => {
      const { plan } = built().model;
      const hidden = blockCausal.hidden(plan);
      const visible = Int32Array.from({ length: plan.length }, (_, query) =>
        hidden.subarray(query * plan.length, (query + 1) * plan.length).reduce((n, flag) => n + 1 - flag, 0),
      );
      return { visible_keys_per_query: ints(visible, [plan.length]) };
    },
    "flow-velocity": velocity("flownet.", () => readTransformer(config, weights)),
    "flow-velocity-cross": velocity("flownet_v2.", () => readCrossHead(config)),
    euler: async (inputs) => {
      const noise = inputs.tensor("noise");
      const times = officialTimes(countArg(inputs, "num_steps", 1, 20));
      const weight = numberArg(inputs, "cfg_scale", 1);
      const { model, scale } = ofSites(noise);
      const { valueWidth, width } = model;
      shapedInput(inputs, "noise", [-1, scale.size, valueWidth]);
      const [rows = 0] = noise.shape;
      const z = shapedInput(inputs, "z", [rows, scale.size, width]);
      const pictures = rows / (weight > 1 ? 2 : 1);
      if (!Number.isInteger(pictures))
        throw badCase(
          "Guidance takes half of the rows as unconditional: their number is even.",
          "inputs.noise",
        );
      const flow = { scale, noise, z, pictures, weight };
      const options = {
        times,
        guidanceHigh: numberArg(inputs, "guidance_high", 1),
        guidanceLow: numberArg(inputs, "guidance_low", 0),
      };
      const x = await integrateScale(model, programs(), flow, options);
      return { x, times: floats(times.slice(0, -1), [times.length - 1]) };
    },
    sample: async (inputs) => {
      const { model } = built();
      const labels = labelsOf(inputs, model.conditioner).data;
      const [width, { length }] = [model.valueWidth, model.plan];
      const noise = shapedInput(inputs, "noise", [-1, length, width]); // conditional rows first
      if ((noise.shape[0] ?? 0) < labels.length)
        throw badCase(`${labels.length} labels need as many rows of noise.`, "inputs.noise");
      const noiseOf = ({ start, size }: { start: number; size: number }) => {
        const rows = Array.from(labels, (_, b) =>
          Array.from(
            (noise.data as Float32Array).subarray(
              (b * length + start) * width,
              (b * length + start + size) * width,
            ),
          ),
        ); // float32
        return floats(rows.flat(), [labels.length, size, width]);
      };
      const options = {
        ...{ cfgScale: numberArg(inputs, "cfg", 1) - 1, cfgRamp: true },
        guidanceHigh: numberArg(inputs, "guidance", 0.9),
        times: officialTimes(countArg(inputs, "num_steps", 1, 25)),
        finest: sampledSide,
      };
      const results = [];
      for await (const result of generateScales(model, programs(), labels, options, noiseOf))
        results.push(result);
      const rows = results[0]?.z.shape[0] ?? 0;
      const parts = results.map(({ z, group }) => ({
        data: z.data,
        width: group.size * model.config.embedDim,
      }));
      const last = results[results.length - 1]?.values as Value; // one per scale
      return {
        z: floats(joinParts(parts, rows), [rows, length, model.config.embedDim]),
        latent: asMap(last),
      };
    },
    [Symbol.dispose]: () => {
      for (const store of stores) store[Symbol.dispose]();
    },
  };
}
