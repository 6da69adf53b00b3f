/** SpaceTime's parity table: from the `run` names of reference cases to the functions that train and forecast. */
import { countArg, type ParityCase, type ParityInputs, type ParityTable } from "../../formats/parityCase.ts";
import { type ClosedStateSpace, closedLoop, companionLoop, openLoop } from "../../mixer/stateSpace.ts";
import {
  companionMatrix,
  fastCompanionKernel,
  krylov,
  type NormOrder,
  readout,
  truncated,
} from "../../nn/companion.ts";
import { Scope, type Weights } from "../../nn/scope.ts";
import { caseRuns, renameGradients } from "../../regimen/parityTools.ts";
import type { Device } from "../../runtime/device.ts";
import type { Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { transpose } from "../../tensor/ops/structure.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { Spacetime } from "./model.ts";
import { type LossWeights, spacetimeTraining } from "./objective.ts";
import { fromOfficialSpacetime } from "./official.ts";

type Tensors = Readonly<Record<string, Tensor>>;

/** The table of one case. `weights` are the case's, by official name. */
export function spacetimeParity(
  parityCase: ParityCase,
  weights: Weights,
  device: Device,
): ParityTable & Disposable {
  const scope = Scope.root();
  let built: Spacetime | undefined;
  // Only checks of the whole model need its configuration.
  const whole = (): Spacetime => {
    built ??= new Spacetime(scope, fromOfficialSpacetime(parityCase.config));
    return built;
  };
  const { run, compute } = caseRuns(weights, device);
  const over =
    <N extends string>(
      names: readonly N[],
      describe: (x: Readonly<Record<N, Tensor>>, args: ParityInputs["args"]) => Tensors,
    ) =>
    ({ tensor, args }: ParityInputs) =>
      compute(
        Object.fromEntries(names.map((name) => [name, tensor(name)])) as Record<N, Value>, // the same names
        (x) => describe(x, args),
      );
  const norm = (args: ParityInputs["args"]): NormOrder => {
    const order = Number(args.norm_order ?? 1);
    if (Number.isInteger(order) && order >= 0) return order;
    throw new NextxError("PARITY_BAD_CASE", `Norms have whole orders, not ${String(args.norm_order)}.`, {
      path: "norm_order",
    });
  };
  const loopOf = (vectors: ClosedStateSpace, args: ParityInputs["args"]) =>
    companionLoop(vectors, norm(args));
  const training = async ({ tensor, args }: ParityInputs) => {
    const [closed = 1, open = 1, next = 1] = (args.criterion_weights ?? []) as number[]; // numbers by contract
    const terms: LossWeights = [closed, open, next];
    const graph = spacetimeTraining(scope, whole(), { weights: terms });
    const inputs = { past: tensor("x"), future: tensor("y") };
    const outputs = renameGradients(await run(graph, inputs), "");
    return { ...outputs, ...(outputs.nextInput && { next_input: outputs.nextInput }) };
  };
  const kernels = ["a", "b", "c"] as const;
  const space = [...kernels, "k", "u"] as const;
  return {
    "companion-kernel": over(kernels, ({ a, b, c }, args) => {
      const states = krylov(countArg({ args }, "length"), companionMatrix(a), b);
      return { kernel: readout(states, c), states: transpose(states, [0, 2, 1]) };
    }),
    "companion-kernel-fast": over(kernels, ({ a, b, c }, args) => {
      const length = countArg({ args }, "length");
      return { kernel: fastCompanionKernel(length, a, b, truncated(length, a, c)) };
    }),
    "closed-loop-ssm": over(space, ({ u, ...vectors }, args) => {
      const { y, next } = closedLoop(loopOf(vectors, args), u, countArg({ args }, "horizon"));
      return { y, u_next: next };
    }),
    "open-loop-ssm": over(space, ({ u, ...vectors }, args) => {
      const { y, next } = openLoop(loopOf(vectors, args), u);
      return { y, u_next: next };
    }),
    preprocess: over(["u"], ({ u }) => ({ z: whole().block(0, whole().embed(u)).filtered })),
    "encoder-block": over(["u"], ({ u }, args) => {
      const index = countArg({ args }, "block", 0, 0);
      const model = whole();
      const before = model.config.blocks
        .slice(0, index)
        .reduce((x, _, i) => model.block(i, x).output, model.embed(u));
      const { kernel, ssm, output } = model.block(index, before);
      return { kernel, ssm, block: output };
    }),
    "forward-train": over(["u"], ({ u }) => {
      const { closed, open, predictedInput, input } = whole().trainingOutputs(u);
      return { y_closed: closed, y_open: open, z_pred: predictedInput, z_true: input };
    }),
    loss: training,
    "loss-grad": training,
    forecast: over(["x"], ({ x }, args) => ({
      forecast: whole().forecast(x, countArg({ args }, "horizon", 1, whole().config.predictionLength)),
    })),
    [Symbol.dispose]: () => undefined,
  };
}
