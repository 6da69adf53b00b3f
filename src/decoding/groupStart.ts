/**
 * What a generation begins with. Modulations take a third of a scale-wise transformer's numbers for one product with a
 * vector per picture: where that is much, their weights are read from the file for it, some layers at a time, and let go.
 */
import { floats, ints, type Value } from "../runtime/values.ts";
import { branchLabels } from "./branches.ts";
import { modulationsGraph, startGraph } from "./groupPrograms.ts";
import type { ProgramStore } from "./programStore.ts";
import type { CachedModel } from "./types.ts";

/** The embedded first group [G, B, N, C] and the modulations of every step: [G, B, depth, 6, C] and [G, B, 2, C]. */
export interface GroupStart {
  readonly x: Value;
  readonly layers: Value;
  readonly head: Value;
}

export interface GroupStartRequest {
  /** Of the program, where one store serves several models. */
  readonly name?: string;
  /** One label per picture. */
  readonly labels: Int32Array;
  /** The label of the unconditional rows. */
  readonly nullLabel: number;
  readonly branches: number;
  /** Positions of the first group [1, N0, C]. */
  readonly positions: Value;
}

/** Bytes of weights in a file: up to how many are held from one generation to the next, and how many at once beyond that. */
const startLimits = { kept: 2 ** 26, part: 2 ** 27 } as const;

/** Begins a generation. Errors: GRAPH_ and RUNTIME_ codes. */
export async function startGroups(
  model: CachedModel,
  programs: ProgramStore,
  { name = "start", labels, nullLabel, branches, positions }: GroupStartRequest,
  limits: { readonly kept: number; readonly part: number } = startLimits,
): Promise<GroupStart> {
  const firstSize = positions.shape[1] ?? 0;
  const rows = ints(branchLabels(labels, nullLabel, branches), [branches, labels.length]);
  const graph = () => startGraph(model, branches, firstSize);
  const bytes = programs.bytesInFiles(graph);
  if (bytes <= limits.kept) {
    const inputs = { labels: rows, positions };
    const { x, layers, head } = await programs.run(`${name}${branches}/${firstSize}`, graph, inputs);
    return { x: x as Value, layers: layers as Value, head: head as Value }; // the graph's outputs
  }
  const whole = graph();
  const { layers: _, ...outputs } = whole.outputs;
  const { x, head } = await programs.once({ ...whole, outputs }, { labels: rows, positions });
  const atOnce = Math.max(1, Math.floor((limits.part / bytes) * model.depth));
  const parts: Value[] = [];
  for (let from = 0; from < model.depth; from += atOnce) {
    const to = Math.min(model.depth, from + atOnce);
    const { layers } = await programs.once(modulationsGraph(model, branches, from, to), { labels: rows });
    parts.push(layers as Value); // the graph's output
  }
  return { x: x as Value, layers: joinedLayers(parts), head: head as Value }; // the graph's outputs
}

/** Ranges of layers [G, B, some, 6, C] -> [G, B, all, 6, C]. */
function joinedLayers(parts: readonly Value[]): Value {
  const [branches = 0, batch = 0, , ...form] = parts[0]?.shape ?? [];
  const depth = parts.reduce((sum, { shape }) => sum + (shape[2] ?? 0), 0);
  const rows = branches * batch;
  const joined = new Float32Array(parts.reduce((sum, { data }) => sum + data.length, 0));
  const width = joined.length / rows;
  let from = 0;
  for (const { data } of parts) {
    const size = data.length / rows;
    for (let row = 0; row < rows; row++)
      joined.set(data.subarray(row * size, (row + 1) * size) as Float32Array, row * width + from); // modulations are float32
    from += size;
  }
  return floats(joined, [branches, batch, depth, ...form]);
}
