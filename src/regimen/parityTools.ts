/** What parity tables of several systems need: reductions that reference folders name, and programs that run once. */
import { checkLabels } from "../conditioner/classEmbedding.ts";
import type { LabelConditioner } from "../conditioner/types.ts";
import { badCase, type ParityInputs } from "../formats/parityCase.ts";
import type { Weights } from "../nn/scope.ts";
import type { Device } from "../runtime/device.ts";
import { compile } from "../runtime/program.ts";
import { type Graph, trace } from "../runtime/trace.ts";
import { floats, ints, type Value, valueType } from "../runtime/values.ts";
import type { Tensor, TensorSpec } from "../tensor/tensor.ts";

/** Official constructor keys that change no number of a reference: kernels, dropout outside training, bookkeeping. */
const inertKeys = [
  ...["flash_if_available", "fused_if_available", "use_checkpoint", "test_mode", "codebook_show_usage"],
  ...[
    "dropout",
    "dropout_p",
    "drop_rate",
    "attn_drop_rate",
    "attn_dropout",
    "proj_dropout",
    "drop_path_rate",
  ],
  ...["token_dropout_p", "attn_dropout_p", "resid_dropout_p", "ffn_dropout_p", "initializer_range"],
  ...["buffer_size", "diffusion_batch_mul", "max_batch_size", "caption_dim"],
];
/** Those that change none at the value of every published model, the only one that is built here. */
const fixedKeys: Readonly<Record<string, readonly unknown[]>> = {
  ...{ default_qresi_counts: [0], rope_base: [10_000], ffn_dim_multiplier: [null] },
  model_type: ["c2i", "class_cond"],
};

/** An official configuration without what says nothing. A fixed key of another value stays, and is refused by schemas. */
export function withoutInert(official: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const isInert = ([key, value]: [string, unknown]) =>
    inertKeys.includes(key) ||
    (Object.hasOwn(fixedKeys, key) && fixedKeys[key]?.includes(value)) ||
    (key === "n_kv_head" && (value === null || value === official.n_head));
  return Object.fromEntries(Object.entries(official).filter((entry) => !isInert(entry)));
}

/** The labels of a check, "no class" among them. @throws NextxError PARITY_BAD_CASE, LABEL_OUT_OF_RANGE */
export function labelsOf(
  { tensor }: ParityInputs,
  classes: Pick<LabelConditioner, "numClasses">,
): Value & { readonly data: Int32Array } {
  const { data, shape } = tensor("labels");
  if (!(data instanceof Int32Array)) throw badCase('The input "labels" must hold integers.', "inputs.labels");
  checkLabels(data, classes);
  return { ...ints(data, shape), data };
}

/** Average over 4 x 4 blocks of the last two axes of maps [..., S, S]. */
export function area4({ data, shape }: Value): Value {
  const side = shape[shape.length - 1] as number; // pictures have at least two axes
  const to = side / 4;
  const out = new Float32Array(data.length / 16);
  for (let i = 0; i < data.length; i++) {
    const [map, y, x] = [Math.floor(i / (side * side)), Math.floor(i / side) % side, i % side];
    const at = (map * to + Math.floor(y / 4)) * to + Math.floor(x / 4);
    out[at] = (out[at] as number) + (data[i] as number) / 16; // in range
  }
  return floats(out, [...shape.slice(0, -2), to, to]);
}

/** Pictures under both names that reference folders give them: whole, and pooled where that is possible. */
export const pictureOutputs = (image: Value): { image: Value; image_area4?: Value } =>
  (image.shape.at(-1) ?? 0) % 4 === 0 ? { image, image_area4: area4(image) } : { image };

/** Joins [B, N_s, ...] parts along axis 1; `width` counts the numbers of a part's row. */
export function joinParts(
  parts: readonly { data: ArrayLike<number>; width: number }[],
  batch: number,
): number[] {
  return Array.from({ length: batch }, (_, b) =>
    parts.flatMap(({ data, width }) =>
      Array.from({ length: width }, (__, i) => data[b * width + i] as number),
    ),
  ).flat();
}

/** Compiles, runs once with these weights, disposes. */
export async function runOnce(
  graph: Graph,
  inputs: Readonly<Record<string, Value>>,
  weights: Weights,
  device: Device,
): Promise<Record<string, Value>> {
  using program = await compile(graph, { device, weights, prepack: false });
  return await program.run(inputs);
}

export const specOf = (value: Value): TensorSpec => ({ dtype: valueType(value), shape: value.shape });

/** What a case computes: graphs over its weights, each run once. */
export function caseRuns(weights: Weights, device: Device) {
  const run = (graph: Graph, inputs: Readonly<Record<string, Value>>) =>
    runOnce(graph, inputs, weights, device);
  /** A function over tensors, traced at the sizes of the given values. */
  function compute<N extends string>(
    inputs: Readonly<Record<N, Value>>,
    describe: (x: Readonly<Record<N, Tensor>>) => Readonly<Record<string, Tensor>>,
  ): Promise<Record<string, Value>> {
    const specs = Object.fromEntries(
      Object.entries<Value>(inputs).map(([name, value]) => [name, specOf(value)]),
    ) as Record<N, TensorSpec>; // the same names
    return run(trace(specs, describe), inputs);
  }
  return { run, compute };
}

/** Gradients of a training graph under their names in reference cases: `grad.` and the name without `prefix`. */
export function renameGradients(
  outputs: Readonly<Record<string, Value>>,
  prefix: string,
): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, value]) => [
      name.replace(`gradient:${prefix}`, "grad.").replace("metric:", ""),
      value,
    ]),
  );
}

/** Element-wise mean of the float outputs of several runs whose sizes agree. */
export function meanOutputs(runs: readonly Readonly<Record<string, Value>>[]): Record<string, Value> {
  const [first = {}] = runs;
  const same = Object.entries(first).filter(([name, { data, shape }]) => {
    return data instanceof Float32Array && runs.every((run) => String(run[name]?.shape) === String(shape));
  });
  return Object.fromEntries(
    same.map(([name, { data, shape }]) => {
      const total = (i: number) => runs.reduce((sum, run) => sum + (run[name]?.data[i] as number), 0); // checked
      return [
        name,
        floats(
          Float32Array.from(data, (_, i) => total(i) / runs.length),
          shape,
        ),
      ];
    }),
  );
}
