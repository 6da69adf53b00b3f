/**
 * SpaceTime: encoder blocks of companion state spaces over the look-back, a closed-loop layer that rolls any horizon out
 * of its own predictions, a layer to outputs. Source: `model/network.py`, `model/block.py` (code); parameter names are the
 * official ones.
 * Shape letters: B batch, L look-back, O horizon, C width, P inputs, Y outputs.
 */
import {
  closedLoop,
  closedShiftSpace,
  closedStateSpace,
  companionLoop,
  convolve,
  type Loop,
  openKernel,
  openLoop,
  shiftSpace,
  stateSpace,
  withSkip,
} from "../../mixer/stateSpace.ts";
import { linear } from "../../nn/layers.ts";
import { normal, type Scope, uniform } from "../../nn/scope.ts";
import type { Dim } from "../../tensor/dims.ts";
import { add, sub } from "../../tensor/ops/elementwise.ts";
import { mean } from "../../tensor/ops/neural.ts";
import { broadcastTo, reshape } from "../../tensor/ops/structure.ts";
import { dimOf, staticDim, type Tensor } from "../../tensor/tensor.ts";
import { type BlockConfig, mlpSchema, type SpacetimeConfig } from "./config.ts";
import { mlp } from "./mlp.ts";
import { isFilter, prefiltered } from "./prefilter.ts";

/** What one encoder block computes on its way. */
export interface BlockOutputs {
  /** Input after the pre-filter, [B, L, C]. */
  readonly filtered: Tensor;
  /** [K, L] */
  readonly kernel: Tensor;
  /** [B, L, C] */
  readonly ssm: Tensor;
  readonly output: Tensor;
}

/** Horizon and look-back as the training pass predicts them. */
export interface TrainingOutputs {
  /** [B, O, Y] */
  readonly closed: Tensor;
  /** One step on from every step of the look-back, [B, L, Y]. */
  readonly open: Tensor;
  /** Predicted and true inputs of the last layer, [B, L, C] each. */
  readonly predictedInput: Tensor;
  readonly input: Tensor;
}

const oneLayer = mlpSchema.parse({});

export class Spacetime {
  readonly config: SpacetimeConfig;
  readonly #scope: Scope;

  constructor(scope: Scope, config: SpacetimeConfig) {
    this.#scope = scope;
    this.config = config;
  }

  /** True for parameters that are not trained: pre-filters, and what a shift fixes. */
  isBuffer(name: string): boolean {
    const { blocks, decoder } = this.config;
    const places = [
      ...blocks.map(({ matrix }, i) => ({ matrix, at: `encoder.blocks.${i}.ssm.` })),
      { matrix: decoder.matrix, at: "decoder.blocks.ssm." },
    ];
    const fixed = places.flatMap(({ matrix, at }) => (matrix === "shift" ? [`${at}a`, `${at}b`] : []));
    return isFilter(name) || fixed.includes(name);
  }

  /** Every input copied to C / P channels, or as `embedding` says: [B, L, P] -> [B, L, C]. */
  embed(u: Tensor): Tensor {
    const [batch, length] = u.shape as [Dim, Dim, Dim];
    const { embedDim, inputs, embedding } = this.config;
    if (embedding === "identity") return u;
    if (embedding === "linear") {
      const bias = uniform(1 / Math.sqrt(inputs));
      return linear(this.#scope.in("embedding", "layers"), u, embedDim, { bias });
    }
    const copies = [batch, length, embedDim / inputs, inputs];
    return reshape(broadcastTo(reshape(u, [batch, length, 1, inputs]), copies), [batch, length, embedDim]);
  }

  /** One block over u [B, L, C]. */
  block(index: number, u: Tensor): BlockOutputs {
    const config = this.config.blocks[index] as BlockConfig; // callers count blocks
    const scope = this.#scope.in("encoder", "blocks", index);
    const { normOrder, skip, mlpSkip, blockSkip } = config;
    const filtered = prefiltered(scope.in("pre"), u, config.prefilter);
    const length = staticDim(dimOf(u, 1), "A look-back");
    const space = config.matrix === "shift" ? shiftSpace : stateSpace;
    const kernel = openKernel(space(scope.in("ssm"), config), length, normOrder);
    const convolved = convolve(filtered, kernel);
    const { embedDim } = this.config;
    const factors = scope.in("ssm").param("skip", [embedDim], normal(1));
    const ssm = skip ? withSkip(convolved, filtered, factors) : convolved;
    const { mlp: layers = oneLayer } = config;
    const inner = layers === null ? ssm : mlp(scope.in("mlp"), ssm, layers, embedDim, mlpSkip);
    const around = { none: undefined, input: u, prefiltered: filtered }[blockSkip];
    return { filtered, kernel, ssm, output: around ? add(inner, around) : inner };
  }

  /** Input of the last layer: [B, L, P] -> [B, L, C]. */
  encode(u: Tensor): Tensor {
    return this.config.blocks.reduce((x, _, i) => this.block(i, x).output, this.embed(u));
  }

  #loop(): Loop {
    const { embedDim, decoder } = this.config;
    const scope = this.#scope.in("decoder", "blocks", "ssm");
    const space = decoder.matrix === "shift" ? closedShiftSpace : closedStateSpace;
    return companionLoop(space(scope, { numKernels: embedDim, ...decoder }), decoder.normOrder);
  }

  /** What the last layer sees of the encoder's output; its next inputs are predicted without this filter (code). */
  #filtered(input: Tensor): Tensor {
    return prefiltered(this.#scope.in("decoder", "blocks", "pre"), input, this.config.decoder.prefilter);
  }

  #output(y: Tensor): Tensor {
    const { output: layers = oneLayer, outputs, outputSkip = false } = this.config;
    return layers === null ? y : mlp(this.#scope.in("output"), y, layers, outputs, outputSkip);
  }

  /** Centred look-back [B, L, P] -> any horizon [B, O, Y], nothing else changed. */
  rollOut(u: Tensor, horizon: number): Tensor {
    return this.#output(closedLoop(this.#loop(), this.#filtered(this.encode(u)), horizon).y);
  }

  /** Both passes of training over a centred look-back [B, L, P]. */
  trainingOutputs(u: Tensor): TrainingOutputs {
    const input = this.encode(u);
    const loop = this.#loop();
    const filtered = this.#filtered(input);
    const closed = closedLoop(loop, filtered, this.config.predictionLength);
    const open = openLoop(loop, filtered);
    return { closed: this.#output(closed.y), open: this.#output(open.y), predictedInput: open.next, input };
  }

  /** Forecast of a look-back [B, L, P]: its mean removed before and added after. */
  forecast(past: Tensor, horizon: number): Tensor {
    const centre = mean(past, [1], true);
    return add(this.rollOut(sub(past, centre), horizon), centre);
  }
}
