/** SpaceTime's official nested configuration (`configs/model`, `setup/configs/model.py`: code) as ours. */
import { z } from "zod";
import { validate } from "../../formats/validate.ts";
import { NextxError } from "../../tensor/errors.ts";
import { type SpacetimeConfig, spacetimeSchema } from "./config.ts";

const part = <K extends z.ZodType>(kwargs: K) => z.looseObject({ method: z.string().nullable(), kwargs });
const filter = part(z.null().or(z.looseObject({})).optional());

/** Official names of activations; tanh and sigmoid cannot be built there, a GLU changes the width. */
const activationNames = {
  ...{ gelu: "gelu", relu: "relu", silu: "silu", swish: "silu" },
  ...{ id: "identity", identity: "identity", linear: "identity" },
} as const;
const activation = z
  .enum(Object.keys(activationNames) as (keyof typeof activationNames)[]) // its own keys
  .nullable()
  .default(null);

const layers = z.looseObject({
  output_dim: z.int(),
  activation,
  layernorm: z.boolean().default(false),
  n_layers: z.int().default(1),
  n_activations: z.int().default(0),
  pre_activation: z.boolean().or(z.int()).default(false),
  input_shape: z.literal("bld").default("bld"),
  hidden_dim: z.int().nullish(),
  skip_connection: z.boolean().default(false),
  average_pool: z.literal("l").nullish(),
});
const mlp = z.discriminatedUnion("method", [
  z.looseObject({ method: z.literal("mlp"), kwargs: layers }),
  z.looseObject({ method: z.literal(["identity", null]) }),
]);

const kernels = {
  n_kernels: z.int(),
  kernel_dim: z.int(),
  norm_order: z.int().min(0).max(16),
  skip_connection: z.boolean().default(false),
};

const officialSchema = z.looseObject({
  embedding_config: part(
    z.looseObject({
      input_dim: z.int(),
      embedding_dim: z.int().nullish(),
      n_heads: z.int().nullish(),
      n_kernels: z.int().nullish(),
    }),
  ).extend({ method: z.enum(["repeat", "linear", "identity"]) }),
  encoder_config: z.looseObject({
    blocks: z.array(
      z.looseObject({
        pre_config: filter,
        ssm_config: part(z.looseObject(kernels)).extend({ method: z.enum(["companion", "shift"]) }),
        mlp_config: mlp,
        skip_connection: z.boolean().default(false),
        skip_preprocess: z.boolean().default(false),
      }),
    ),
  }),
  decoder_config: z.looseObject({
    blocks: z.tuple([
      z.looseObject({
        pre_config: filter,
        ssm_config: part(z.looseObject(kernels)).extend({
          method: z.enum(["closed_loop_companion", "closed_loop_shift"]),
        }),
      }),
    ]),
  }),
  output_config: mlp,
  lag: z.int(),
  horizon: z.int(),
});

function prefilterOf({ method, kwargs }: z.infer<typeof filter>, embedDim: number, path: string) {
  const { n_kernels, kernel_repeat, head_dim, max_diff_order, kernel_dim, ...windows } = kwargs ?? {};
  const shared = { numKernels: n_kernels, repeats: kernel_repeat };
  switch (method) {
    case null:
    case "identity":
      return {};
    case "differencing":
    case "ma_residual":
      return {
        prefilter: {
          ...{ method, ...shared, kernelLength: kernel_dim },
          ...(max_diff_order !== undefined && { maxDiffOrder: max_diff_order }),
        },
      };
    case "residual": {
      // code: without a head_dim, what fills the width
      const side = head_dim === null ? embedDim / (Number(n_kernels) * Number(kernel_repeat)) : head_dim;
      return {
        prefilter: {
          ...{ ...shared, maxDiffOrder: max_diff_order },
          ...{ minWindow: windows.min_avg_window, maxWindow: windows.max_avg_window },
          ...(Number(side ?? 1) > 1 && { headDim: side }),
        },
      };
    }
    default:
      throw new NextxError("CONFIG_BAD_VALUE", `Pre-filter "${method}" is not known.`, {
        path,
        hint: "Known: residual, differencing, ma_residual, identity.",
      });
  }
}

function mlpOf(config: z.infer<typeof mlp>) {
  if (config.method !== "mlp") return null;
  const { kwargs } = config;
  return {
    activation: activationNames[kwargs.activation ?? "identity"],
    layerNorm: kwargs.layernorm,
    layers: kwargs.n_layers,
    activations: kwargs.n_activations,
    preActivation: Boolean(kwargs.pre_activation),
    hiddenDim: kwargs.hidden_dim ?? undefined,
    averagePool: kwargs.average_pool === "l",
  };
}

const skipOf = (config: z.infer<typeof mlp>): boolean =>
  config.method === "mlp" && config.kwargs.skip_connection;

/** The official nested configuration as ours. @throws NextxError CONFIG_BAD_VALUE for parts that are not built */
export function fromOfficialSpacetime(official: unknown): SpacetimeConfig {
  const { embedding_config, encoder_config, decoder_config, output_config, lag, horizon } = validate(
    officialSchema,
    official,
    "config",
  );
  const { input_dim, embedding_dim, n_heads, n_kernels } = embedding_config.kwargs;
  const [decoder] = decoder_config.blocks;
  const embedDim = embedding_dim ?? input_dim * Number(n_heads) * Number(n_kernels);
  const given = {
    contextLength: lag,
    predictionLength: horizon,
    inputs: input_dim,
    outputs: output_config.method === "mlp" ? output_config.kwargs.output_dim : embedDim,
    embedDim,
    embedding: embedding_config.method,
    blocks: encoder_config.blocks.map((block, i) => ({
      ...prefilterOf(block.pre_config, embedDim, `encoder_config.blocks.${i}.pre_config`),
      matrix: block.ssm_config.method,
      numKernels: block.ssm_config.kwargs.n_kernels,
      stateSize: block.ssm_config.kwargs.kernel_dim,
      normOrder: block.ssm_config.kwargs.norm_order,
      skip: block.ssm_config.kwargs.skip_connection,
      mlp: mlpOf(block.mlp_config),
      mlpSkip: skipOf(block.mlp_config),
      blockSkip: !block.skip_connection ? "none" : block.skip_preprocess ? "input" : "prefiltered",
    })),
    decoder: {
      ...prefilterOf(decoder.pre_config, embedDim, "decoder_config.blocks.0.pre_config"),
      matrix: decoder.ssm_config.method === "closed_loop_shift" ? "shift" : "companion",
      stateSize: decoder.ssm_config.kwargs.kernel_dim,
      normOrder: decoder.ssm_config.kwargs.norm_order,
    },
    output: mlpOf(output_config),
    outputSkip: skipOf(output_config),
  };
  return validate(spacetimeSchema, given, "config");
}
