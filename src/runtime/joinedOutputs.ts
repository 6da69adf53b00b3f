/**
 * Outputs that leave a device together: where every output is a round trip of its own, the gradients of a training step
 * would take longer to come back than to compute.
 */
import { concat, reshape } from "../tensor/ops/structure.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Graph } from "./trace.ts";
import { elementCount, type Value } from "./values.ts";

/** Fewer outputs are not worth a copy. */
const fewest = 4;
/** Elements of one joined output, at most, unless it has one part: GPUs bind no larger buffers than they say. */
const most = 2 ** 24;

/** Outputs that lie one after the other in one float32 vector. */
interface Joined {
  readonly name: string;
  readonly parts: readonly (readonly [string, Tensor])[];
}

const sizeOf = ({ shape }: Tensor): number => elementCount(shape as readonly number[]); // asked of fixed shapes only

const isJoinable = (tensor: Tensor): boolean =>
  tensor.dtype === "float32" && tensor.shape.every((side) => typeof side === "number" && side > 0);

/** Consecutive outputs, together at most `most` elements. */
function grouped(outputs: readonly (readonly [string, Tensor])[]): (readonly [string, Tensor])[][] {
  const groups: (readonly [string, Tensor])[][] = [];
  let elements = Number.POSITIVE_INFINITY;
  for (const output of outputs) {
    const size = sizeOf(output[1]);
    if (elements + size > most) {
      groups.push([]);
      elements = 0;
    }
    groups.at(-1)?.push(output);
    elements += size;
  }
  return groups;
}

export class JoinedOutputs {
  readonly #joined: readonly Joined[];
  readonly #homes: ReadonlyMap<string, Joined>;

  private constructor(joined: readonly Joined[]) {
    this.#joined = joined;
    this.#homes = new Map(joined.flatMap((one) => one.parts.map(([name]) => [name, one] as const)));
  }

  /** Joins the float32 outputs of fixed shapes, but those of `apart`. */
  static of(graph: Graph, apart: ReadonlySet<string>): JoinedOutputs {
    const parts = Object.entries(graph.outputs).filter(
      ([name, tensor]) => !apart.has(name) && isJoinable(tensor),
    );
    if (parts.length < fewest) return new JoinedOutputs([]);
    return new JoinedOutputs(
      grouped(parts).map((group, i) => ({ name: `joined outputs ${i}`, parts: group })),
    );
  }

  /** The graph with its outputs joined. */
  join(graph: Graph): Graph {
    const alone = Object.entries(graph.outputs).filter(([name]) => !this.#homes.has(name));
    const joined = this.#joined.map(({ name, parts }) => {
      const flat = parts.map(([, tensor]) => reshape(tensor, [sizeOf(tensor)]));
      return [name, concat(flat, 0)] as const;
    });
    return { ...graph, outputs: Object.fromEntries([...alone, ...joined]) };
  }

  /** What a session must be asked for, to have these outputs. */
  asked(outputs: readonly (readonly [string, Tensor])[]): [string, Tensor][] {
    return [
      ...new Map(
        outputs.map(([name, tensor]): [string, Tensor] => [this.#homes.get(name)?.name ?? name, tensor]),
      ),
    ];
  }

  /** Adds the parts of the joined outputs among the results. */
  split(results: Readonly<Record<string, Value>>): Record<string, Value> {
    const all: Record<string, Value> = { ...results };
    for (const { name, parts } of this.#joined) {
      const data = results[name]?.data as Float32Array | undefined; // joined as float32
      let start = 0;
      for (const [part, tensor] of parts) {
        const end = start + sizeOf(tensor);
        if (data) all[part] = { data: data.subarray(start, end), shape: tensor.shape as readonly number[] };
        start = end;
      }
    }
    return all;
  }
}
