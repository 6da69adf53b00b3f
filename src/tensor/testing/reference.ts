/**
 * An independent interpreter of graphs in float64, and central differences on it. Test-only: slow, simple, exact.
 * It checks that every computed shape is the shape the graph promised.
 */
import { type Dim, evaluateDim } from "../dims.ts";
import { topologicalOrder } from "../graph.ts";
import { constantData, inputName, type Tensor } from "../tensor.ts";
import { type Nd, nd } from "./ndarray.ts";
import { rules } from "./rules.ts";

export type Feeds = ReadonlyMap<string, Nd>;

/** Values of the symbols that stand alone in the shapes of fed inputs. */
export function bindSymbols(inputs: Iterable<Tensor>, feeds: Feeds): Map<string, number> {
  const symbols = new Map<string, number>();
  for (const tensor of inputs) {
    const fed = feeds.get(inputName(tensor) ?? "");
    tensor.shape.forEach((dim, axis) => {
      if (typeof dim !== "number" && fed !== undefined)
        symbols.set(dim.toString(), fed.shape[axis] as number);
    });
  }
  return symbols;
}

/** A graph prepared for repeated evaluation. `carriers` are inputs that only bind symbols. */
export class Reference {
  readonly #outputs: readonly Tensor[];
  readonly #order: readonly Tensor[];
  readonly #carriers: readonly Tensor[];

  constructor(outputs: readonly Tensor[], carriers: readonly Tensor[] = []) {
    this.#outputs = outputs;
    this.#order = topologicalOrder(outputs);
    this.#carriers = carriers;
  }

  run(feeds: Feeds): Nd[] {
    const values = new Map<Tensor, Nd>();
    this.#evaluate(this.#order, values, feeds);
    return this.#outputs.map((tensor) => values.get(tensor) as Nd);
  }

  /** The outputs as a function of some inputs: what does not depend on them is evaluated once. */
  partial(names: ReadonlySet<string>, feeds: Feeds): (changed: Feeds) => Nd[] {
    const values = new Map<Tensor, Nd>();
    this.#evaluate(this.#order, values, feeds);
    const moving = new Set<Tensor>();
    for (const node of this.#order) {
      if (names.has(inputName(node) ?? "") || node.inputs.some((x) => moving.has(x))) moving.add(node);
    }
    const order = this.#order.filter((node) => moving.has(node));
    return (changed) => {
      this.#evaluate(order, values, new Map([...feeds, ...changed]));
      return this.#outputs.map((tensor) => values.get(tensor) as Nd);
    };
  }

  #evaluate(order: readonly Tensor[], values: Map<Tensor, Nd>, feeds: Feeds): void {
    const symbols = bindSymbols([...this.#order, ...this.#carriers], feeds);
    const size = (dim: Dim): number => evaluateDim(dim, symbols);
    for (const node of order) {
      const value = this.#value(node, values, feeds, size);
      const promised = node.shape.map(size);
      if (promised.length !== value.shape.length || promised.some((side, i) => side !== value.shape[i])) {
        throw new Error(`${node.op.name} promised [${promised}], the definition gives [${value.shape}]`);
      }
      values.set(node, value);
    }
  }

  #value(node: Tensor, values: Map<Tensor, Nd>, feeds: Feeds, size: (dim: Dim) => number): Nd {
    const name = inputName(node);
    if (name !== undefined) {
      const fed = feeds.get(name);
      if (fed === undefined) throw new Error(`input "${name}" was not fed`);
      return fed;
    }
    const data = constantData(node);
    if (data !== undefined) return nd(data, node.shape.map(size));
    const rule = rules[node.op.name];
    if (rule === undefined) throw new Error(`no reference rule for ${node.op.name}`);
    const inputs = node.inputs.map((x) => values.get(x) as Nd);
    return rule(inputs, { attrs: node.attrs, dtype: node.dtype, size });
  }
}

function moved(x: Nd, direction: ArrayLike<number>, step: number): Nd {
  return { data: x.data.map((v, i) => v + step * (direction[i] as number)), shape: x.shape };
}

/** Derivative of a scalar along directions of its inputs, by a central difference. */
export function directionalDerivative(
  loss: Tensor,
  feeds: Feeds,
  directions: ReadonlyMap<string, ArrayLike<number>>,
  carriers: readonly Tensor[] = [],
  step = 1e-5,
): number {
  const evaluate = new Reference([loss], carriers).partial(new Set(directions.keys()), feeds);
  const at = (h: number): number => {
    const shifted = [...directions].map(
      ([name, direction]) => [name, moved(feeds.get(name) as Nd, direction, h)] as const,
    );
    return (evaluate(new Map(shifted))[0] as Nd).data[0] as number;
  };
  return (at(step) - at(-step)) / (2 * step);
}

/** Gradient of a scalar with respect to one input, by central differences of each entry. */
export function numericGradient(
  loss: Tensor,
  feeds: Feeds,
  name: string,
  carriers: readonly Tensor[] = [],
  step = 1e-5,
): Nd {
  const x = feeds.get(name) as Nd;
  const evaluate = new Reference([loss], carriers).partial(new Set([name]), feeds);
  const gradient = x.data.map((value, i) => {
    const at = (h: number): number => {
      const data = x.data.slice();
      data[i] = value + h;
      return (evaluate(new Map([[name, { data, shape: x.shape }]]))[0] as Nd).data[0] as number;
    };
    return (at(step) - at(-step)) / (2 * step);
  });
  return { data: gradient, shape: x.shape };
}
