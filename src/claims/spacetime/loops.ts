/**
 * One closed-loop layer over copies of a series, with the matrix as what is compared: a companion matrix, poles that decay
 * (S4D's form), or a plain shift. Nothing is normalised, so that no form is bounded by more than its matrix.
 * Shape letters: B batch, L look-back, O horizon, K kernels, d state size.
 */
import { closedLoop, type Loop, type LoopOutputs, openLoop } from "../../mixer/stateSpace.ts";
import { companionMatrix } from "../../nn/companion.ts";
import { normal, Scope } from "../../nn/scope.ts";
import { trainingGraph } from "../../regimen/objective.ts";
import type { SeriesTrainee } from "../../regimen/seriesTask.ts";
import { type Graph, trace } from "../../runtime/trace.ts";
import { add, div, mul, sqrt, square, sub, tanh } from "../../tensor/ops/elementwise.ts";
import { linear } from "../../tensor/ops/linear.ts";
import { mean } from "../../tensor/ops/neural.ts";
import { broadcastTo, concat, reshape, slice } from "../../tensor/ops/structure.ts";
import { constant, dimOf, float32, type Tensor } from "../../tensor/tensor.ts";

export interface LoopSizes {
  readonly kernels: number;
  /** Even. */
  readonly stateSize: number;
  readonly contextLength: number;
  readonly predictionLength: number;
}

export type LoopKind = "companion" | "decay" | "shift";
type Matrix = (scope: Scope, sizes: LoopSizes) => Tensor;

const small = ({ stateSize }: LoopSizes) => normal(1 / stateSize);

/** Pairs of poles inside the unit circle as 2 x 2 blocks [[x, -y], [y, x]] along the diagonal. */
const decay: Matrix = (scope, { kernels, stateSize }) => {
  const pairs = [kernels, stateSize / 2, 1];
  const [x, y] = [scope.param("re", pairs, normal(0.7)), scope.param("im", pairs, normal(0.7))];
  const radius = sqrt(add(add(square(x), square(y)), 1e-8));
  const inside = div(tanh(radius), radius);
  const twice = (part: Tensor) =>
    reshape(broadcastTo(mul(part, inside), [kernels, stateSize / 2, 2]), [kernels, stateSize, 1]);
  const [same, other] = [new Float32Array(stateSize ** 2), new Float32Array(stateSize ** 2)];
  for (let i = 0; i < stateSize; i++) {
    same[i * stateSize + i] = 1;
    other[i * stateSize + (i ^ 1)] = i % 2 === 0 ? -1 : 1;
  }
  const shape = [stateSize, stateSize];
  return add(mul(twice(x), constant(same, shape)), mul(twice(y), constant(other, shape)));
};

const matrices: Readonly<Record<LoopKind, Matrix>> = {
  companion: (scope, sizes) =>
    companionMatrix(scope.param("a", [sizes.kernels, sizes.stateSize], small(sizes))),
  decay,
  shift: (_, { kernels, stateSize }) =>
    companionMatrix(constant(new Float32Array(kernels * stateSize), [kernels, stateSize])),
};

function loopOf(scope: Scope, kind: LoopKind, sizes: LoopSizes): Loop {
  const vector = (name: string) =>
    scope.param(name, [sizes.kernels, sizes.stateSize], normal(1 / Math.sqrt(sizes.stateSize)));
  const [b, c, k] = [vector("b"), vector("c"), vector("k")];
  return { A: matrices[kind](scope, sizes), stored: b, b, k, c, next: k, openNext: k };
}

/** Layers over u [B, L, 1] and a weighted sum of their outputs. */
class LoopModel {
  readonly #scope: Scope;
  readonly #kind: LoopKind;
  readonly #sizes: LoopSizes;

  constructor(scope: Scope, kind: LoopKind, sizes: LoopSizes) {
    this.#scope = scope;
    this.#kind = kind;
    this.#sizes = sizes;
  }

  get loop(): Loop {
    return loopOf(this.#scope, this.#kind, this.#sizes);
  }

  copies(u: Tensor): Tensor {
    return broadcastTo(u, [dimOf(u, 0), dimOf(u, 1), this.#sizes.kernels]);
  }

  output({ y }: LoopOutputs): Tensor {
    const { kernels } = this.#sizes;
    return linear(y, this.#scope.param("out", [1, kernels], normal(1 / Math.sqrt(kernels))));
  }
}

const distance = (a: Tensor, b: Tensor): Tensor => mean(sqrt(add(mean(square(sub(a, b)), [1]), 1e-12)));

/** Losses as SpaceTime's: the horizon in closed loop, one step on in open loop, the layer's own next inputs. */
export function loopTrainee(kind: LoopKind, sizes: LoopSizes): SeriesTrainee {
  const scope = Scope.root();
  const model = new LoopModel(scope, kind, sizes);
  const { contextLength: length, predictionLength: horizon } = sizes;
  const specs = { past: float32("B", length, 1), future: float32("B", horizon, 1) };
  const training = trainingGraph(specs, scope, (inputs) => {
    const [past, future] = [inputs.past as Tensor, inputs.future as Tensor]; // declared above
    const u = model.copies(past);
    const [closed, open] = [closedLoop(model.loop, u, horizon), openLoop(model.loop, u)];
    const truth = slice(concat([past, future], 1), 1, 1, length + 1);
    const warm = sizes.stateSize;
    const late = (x: Tensor) => slice(x, 1, warm, length);
    const terms = {
      closed: distance(model.output(closed), future),
      open: distance(late(model.output(open)), late(truth)),
      nextInput: distance(late(open.next), late(model.copies(truth))),
    };
    return { loss: add(add(terms.closed, terms.open), terms.nextInput), metrics: terms };
  });
  return {
    ...{ parameters: scope.specs, labelLength: 0, training },
    forecast: loopForecast(kind, sizes, horizon),
  };
}

/** One step on in open loop is all that is learned: a convolution, as in state spaces without a loop. */
export function stepTrainee(kind: LoopKind, sizes: LoopSizes): SeriesTrainee {
  const scope = Scope.root();
  const model = new LoopModel(scope, kind, sizes);
  const { contextLength: length, stateSize, predictionLength: horizon } = sizes;
  const specs = { past: float32("B", length, 1), future: float32("B", horizon, 1) };
  const training = trainingGraph(specs, scope, (inputs) => {
    const [past, future] = [inputs.past as Tensor, inputs.future as Tensor]; // declared above
    const truth = slice(concat([past, future], 1), 1, stateSize + 1, length + 1);
    const made = model.output(openLoop(model.loop, model.copies(past)));
    return { loss: distance(slice(made, 1, stateSize, length), truth), metrics: {} };
  });
  const forecast = trace({ past: specs.past }, ({ past }) => ({
    forecast: slice(model.output(openLoop(model.loop, model.copies(past))), 1, length - 1, length),
  }));
  return { parameters: scope.specs, labelLength: 0, training, forecast };
}

/** Forecast of any horizon over the same parameters. Input `past` [B, L, 1]; output `forecast` [B, O, 1]. */
export function loopForecast(kind: LoopKind, sizes: LoopSizes, horizon: number): Graph {
  const model = new LoopModel(Scope.root(), kind, sizes);
  return trace({ past: float32("B", sizes.contextLength, 1) }, ({ past }) => ({
    forecast: model.output(closedLoop(model.loop, model.copies(past), horizon)),
  }));
}
