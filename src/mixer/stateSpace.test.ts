/** State-space layers where the authors' code is no convention that one would guess. */
import { expect, it } from "vitest";
import { openCpu } from "../runtime/device.node.ts";
import { compile } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { floats } from "../runtime/values.ts";
import { RandomStream } from "../tensor/random.ts";
import { float32 } from "../tensor/tensor.ts";
import { companionLoop, convolve, openKernel, openLoop } from "./stateSpace.ts";

const [kernels, stateSize, length] = [3, 5, 8];

it.each([
  [0, stateSize],
  [1, 1],
] as const)(
  "open loops of norm order %i divide what predicts the next input by %i",
  async (order, divisor) => {
    const device = await openCpu({ threads: 1 });
    const unit = Array.from({ length: kernels * stateSize }, (_, i) => (i % 2 ? -1 : 1) / stateSize); // of norm 1
    const random = (name: string, count: number) => RandomStream.from(3, name).normals(count, 0.3);
    const vectors = { a: unit, b: unit, c: random("c", kernels * stateSize), k: unit };
    const spec = float32(kernels, stateSize);
    const graph = trace(
      { a: spec, b: spec, c: spec, k: spec, u: float32(2, length, kernels) },
      ({ a, b, c, k, u }) => ({
        next: openLoop(companionLoop({ a, b, c, k }, order), u).next,
        plain: convolve(u, openKernel({ a, b, c: k }, length, order)),
      }),
    );
    using program = await compile(graph, { device });
    const given = Object.entries(vectors).map(([name, data]) => [
      name,
      floats(Float32Array.from(data), [kernels, stateSize]),
    ]);
    const u = floats(random("u", 2 * length * kernels), [2, length, kernels]);
    const { next, plain = u } = await program.run({ ...Object.fromEntries(given), u });
    for (const [i, value] of [...plain.data].entries()) expect(next?.data[i]).toBeCloseTo(value / divisor, 5);
  },
);
