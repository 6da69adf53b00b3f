/**
 * Configuration of SpaceTime. Defaults are the official ones of the README's command; what is absent is as there. Names in `official` are keys of the official configuration files.
 */
import { z } from "zod";

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
  .refine((c) => c.maxDiffOrder <= c.numKernels, {
    error: "there are as many kernels as orders of differencing, or more",
    path: ["maxDiffOrder"],
  })
  .refine((c) => c.minWindow < c.maxWindow, {
    error: "the largest window exceeds the smallest",
    path: ["maxWindow"],
  });

export type PrefilterConfig = z.infer<typeof prefilterSchema>;

/** A fixed kernel per row of a table. `ma_residual` leaves series as they are: code, its averages are never applied. */
export const kernelFilterSchema = z
  .strictObject({
    method: z.enum(["differencing", "ma_residual"]),
    numKernels: z.int().min(1).max(1_024).default(8).meta({ official: "n_kernels" }),
    repeats: width.default(16).meta({ official: "kernel_repeat" }),
    kernelLength: width.default(4).meta({ official: "kernel_dim" }),
    maxDiffOrder: z.int().min(1).max(64).default(4).meta({ official: "max_diff_order" }),
  })
  .refine((c) => c.method !== "differencing" || c.maxDiffOrder <= c.kernelLength, {
    error: "a kernel holds the coefficients of every order",
    path: ["kernelLength"],
  });

export type KernelFilterConfig = z.infer<typeof kernelFilterSchema>;

const anyPrefilter = z.union([prefilterSchema, kernelFilterSchema]);

/** Layers per step after a state space; absent, one layer behind a GELU. */
export const mlpSchema = z.strictObject({
  activation: z.enum(["gelu", "relu", "silu", "identity"]).default("gelu").meta({ official: "activation" }),
  layerNorm: z.boolean().default(false).meta({ official: "layernorm" }),
  layers: z.int().min(0).max(64).default(1).meta({ official: "n_layers" }),
  activations: z.int().min(0).max(64).default(1).meta({ official: "n_activations" }),
  preActivation: z.boolean().default(true).meta({ official: "pre_activation" }),
  hiddenDim: width.optional().meta({ official: "hidden_dim" }),
  /** One step at the end, the mean over time. */
  averagePool: z.boolean().default(false),
});

export type MlpConfig = z.infer<typeof mlpSchema>;

/** Absent, a companion matrix; a shift has no last column, and its input enters in the first state (code: not trained). */
const matrix = z.enum(["companion", "shift"]).optional();

const blockSchema = z.strictObject({
  /** Differencing and moving-average residuals before the state space. */
  prefilter: anyPrefilter.optional(),
  matrix,
  numKernels: width.meta({ official: "n_kernels" }),
  stateSize: width.default(64).meta({ official: "kernel_dim" }),
  normOrder: order.meta({ official: "norm_order" }),
  skip: z.boolean().default(true).meta({ official: "skip_connection" }),
  /** Skips inside the layer after the state space, and around the block. */
  mlpSkip: z.boolean().default(true),
  /** Null for none. */
  mlp: mlpSchema.nullable().optional(),
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
    /** Absent, every input is copied; a learned layer; or the inputs are the channels. */
    embedding: z.enum(["repeat", "linear", "identity"]).optional(),
    blocks: z
      .array(blockSchema)
      .min(1)
      .max(64)
      .prefault([{ prefilter: {}, numKernels: 16, blockSkip: "prefiltered" }]),
    decoder: z
      .strictObject({
        prefilter: anyPrefilter.optional(),
        matrix,
        stateSize: width.default(64).meta({ official: "kernel_dim" }),
        normOrder: order.meta({ official: "norm_order" }),
      })
      .prefault({}),
    output: mlpSchema.nullable().optional(),
    outputSkip: z.boolean().optional(),
  })
  .refine((c) => c.embedding === "linear" || c.embedDim % c.inputs === 0, {
    error: "inputs must divide embedDim",
    path: ["inputs"],
  })
  .refine((c) => c.embedding !== "identity" || c.embedDim === c.inputs, {
    error: "without an embedding there are as many channels as inputs",
    path: ["embedDim"],
  })
  .refine((c) => c.blocks.every(({ numKernels }) => c.embedDim % numKernels === 0), {
    error: "the kernels of every block must divide embedDim",
    path: ["blocks"],
  })
  .refine((c) => [...c.blocks, c.decoder].every(({ prefilter }) => fits(prefilter, c.embedDim)), {
    error: "kernels, repeats and headDim of a pre-filter give embedDim channels",
    path: ["blocks"],
  });

function fits(filter: z.infer<typeof anyPrefilter> | undefined, embedDim: number): boolean {
  if (filter === undefined) return true;
  const rows = filter.numKernels * filter.repeats;
  return "method" in filter ? embedDim % rows === 0 : rows * (filter.headDim ?? 1) === embedDim;
}

export type SpacetimeConfig = z.infer<typeof spacetimeSchema>;
