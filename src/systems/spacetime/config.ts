/**
 * Configuration of SpaceTime, and how the official nested one is read. Defaults are the official ones of the README's
 * command. Names in `official` are keys of the official configuration files.
 */
import { z } from "zod";
import { validate } from "../../formats/validate.ts";
import { NextxError } from "../../tensor/errors.ts";

const width = z.int().min(1).max(16_384);
const order = z.int().min(0).max(16).default(1);

export const prefilterSchema = z
  .strictObject({
    numKernels: z.int().min(2).max(1_024).default(8).meta({ official: "n_kernels" }),
    repeats: width.default(16).meta({ official: "kernel_repeat" }),
    maxDiffOrder: z.int().min(1).max(64).default(4).meta({ official: "max_diff_order" }),
    minWindow: z.int().min(1).max(100_000).default(4).meta({ official: "min_avg_window" }),
    maxWindow: z.int().min(2).max(100_000).default(64).meta({ official: "max_avg_window" }),
    /** Neighbouring channels that share a kernel; one when absent. */
    headDim: width.optional().meta({ official: "head_dim" }),
  })
  .refine((c) => c.maxDiffOrder < c.numKernels, {
    error: "there are more kernels than orders of differencing",
    path: ["maxDiffOrder"],
  })
  .refine((c) => c.minWindow < c.maxWindow, {
    error: "the largest window exceeds the smallest",
    path: ["maxWindow"],
  });

export type PrefilterConfig = z.infer<typeof prefilterSchema>;

const blockSchema = z.strictObject({
  /** Differencing and moving-average residuals before the state space. */
  prefilter: prefilterSchema.optional(),
  numKernels: width.meta({ official: "n_kernels" }),
  stateSize: width.default(64).meta({ official: "kernel_dim" }),
  normOrder: order.meta({ official: "norm_order" }),
  skip: z.boolean().default(true).meta({ official: "skip_connection" }),
  /** Skips inside the layer after the state space, and around the block. */
  mlpSkip: z.boolean().default(true),
  blockSkip: z.enum(["none", "input", "prefiltered"]),
});

export type BlockConfig = z.infer<typeof blockSchema>;

export const spacetimeSchema = z
  .strictObject({
    contextLength: z.int().min(2).max(100_000).default(336).meta({ official: "lag" }),
    predictionLength: z.int().min(1).max(100_000).default(720).meta({ official: "horizon" }),
    inputs: width.default(1).meta({ official: "input_dim" }),
    outputs: width.default(1).meta({ official: "output_dim" }),
    embedDim: width.default(128).meta({ official: "model_dim" }),
    blocks: z
      .array(blockSchema)
      .min(1)
      .max(64)
      .prefault([{ prefilter: {}, numKernels: 16, blockSkip: "prefiltered" }]),
    decoder: z
      .strictObject({
        stateSize: width.default(64).meta({ official: "kernel_dim" }),
        normOrder: order.meta({ official: "norm_order" }),
      })
      .prefault({}),
  })
  .refine((c) => c.embedDim % c.inputs === 0, {
    error: "inputs must divide embedDim",
    path: ["inputs"],
  })
  .refine((c) => c.blocks.every(({ numKernels }) => c.embedDim % numKernels === 0), {
    error: "the kernels of every block must divide embedDim",
    path: ["blocks"],
  })
  .refine(
    (c) =>
      c.blocks.every(({ prefilter: p }) => !p || p.numKernels * p.repeats * (p.headDim ?? 1) === c.embedDim),
    { error: "kernels, repeats and headDim of a pre-filter give embedDim channels", path: ["blocks"] },
  );

export type SpacetimeConfig = z.infer<typeof spacetimeSchema>;

const part = <K extends z.ZodType>(kwargs: K) => z.looseObject({ method: z.string().nullable(), kwargs });
const none = part(z.null().or(z.looseObject({})).optional());
const mlp = part(
  z.looseObject({
    output_dim: z.int(),
    activation: z.literal("gelu"),
    layernorm: z.literal(false),
    n_layers: z.literal(1),
    n_activations: z.literal(1),
    pre_activation: z.literal(true),
    input_shape: z.literal("bld"),
    skip_connection: z.boolean(),
    average_pool: z.null(),
  }),
);
const kernels = {
  n_kernels: z.int(),
  kernel_dim: z.int(),
  norm_order: z.int().min(0).max(16),
  skip_connection: z.boolean(),
};

const officialSchema = z.looseObject({
  embedding_config: part(
    z.looseObject({
      input_dim: z.int(),
      embedding_dim: z.int().nullish(),
      n_heads: z.int().nullish(),
      n_kernels: z.int().nullish(),
    }),
  ).extend({ method: z.literal("repeat") }),
  encoder_config: z.looseObject({
    blocks: z.array(
      z.looseObject({
        pre_config: none,
        ssm_config: part(z.looseObject(kernels)).extend({ method: z.literal("companion") }),
        mlp_config: mlp,
        skip_connection: z.boolean(),
        skip_preprocess: z.boolean(),
      }),
    ),
  }),
  decoder_config: z.looseObject({
    blocks: z.tuple([
      z.looseObject({
        pre_config: none,
        ssm_config: part(z.looseObject(kernels)).extend({ method: z.literal("closed_loop_companion") }),
      }),
    ]),
  }),
  output_config: mlp,
  lag: z.int(),
  horizon: z.int(),
});

const prefilterMethods: Readonly<Record<string, boolean>> = { residual: true, identity: false };

function prefilterOf({ method, kwargs }: z.infer<typeof none>, path: string) {
  const isFilter = method === null ? false : prefilterMethods[method];
  if (isFilter === undefined) {
    throw new NextxError("CONFIG_BAD_VALUE", `Pre-filter "${method}" is not known.`, {
      path,
      hint: `Known: ${Object.keys(prefilterMethods).join(", ")}.`,
    });
  }
  const { n_kernels, kernel_repeat, head_dim, max_diff_order, min_avg_window, max_avg_window } = kwargs ?? {};
  return isFilter
    ? {
        prefilter: {
          numKernels: n_kernels,
          repeats: kernel_repeat,
          maxDiffOrder: max_diff_order,
          minWindow: min_avg_window,
          maxWindow: max_avg_window,
          ...(Number(head_dim ?? 1) > 1 && { headDim: head_dim }),
        },
      }
    : {};
}

/** The official nested configuration as ours. @throws NextxError CONFIG_BAD_VALUE for parts that are not built */
export function fromOfficialSpacetime(official: unknown): SpacetimeConfig {
  const { embedding_config, encoder_config, decoder_config, output_config, lag, horizon } = validate(
    officialSchema,
    official,
    "config",
  );
  const { input_dim, embedding_dim, n_heads, n_kernels } = embedding_config.kwargs;
  const [decoder] = decoder_config.blocks;
  if (decoder.pre_config.method && decoder.pre_config.method !== "identity")
    throw new NextxError("CONFIG_BAD_VALUE", "The decoder has no pre-filter here.", {
      path: "decoder_config.blocks.0.pre_config",
    });
  const given = {
    contextLength: lag,
    predictionLength: horizon,
    inputs: input_dim,
    outputs: output_config.kwargs.output_dim,
    embedDim: embedding_dim ?? input_dim * Number(n_heads) * Number(n_kernels),
    blocks: encoder_config.blocks.map((block, i) => ({
      ...prefilterOf(block.pre_config, `encoder_config.blocks.${i}.pre_config`),
      numKernels: block.ssm_config.kwargs.n_kernels,
      stateSize: block.ssm_config.kwargs.kernel_dim,
      normOrder: block.ssm_config.kwargs.norm_order,
      skip: block.ssm_config.kwargs.skip_connection,
      mlpSkip: block.mlp_config.kwargs.skip_connection,
      blockSkip: !block.skip_connection ? "none" : block.skip_preprocess ? "input" : "prefiltered",
    })),
    decoder: {
      stateSize: decoder.ssm_config.kwargs.kernel_dim,
      normOrder: decoder.ssm_config.kwargs.norm_order,
    },
  };
  return validate(spacetimeSchema, given, "config");
}
