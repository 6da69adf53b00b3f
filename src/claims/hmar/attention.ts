/**
 * Attention alone, without the layers around it: one layer's scores, softmax and sums over all scales of a guided picture,
 * each scale on itself (HMAR) or on all scales so far, whose keys and values come in and go out as in cached generation (VAR).
 */

import { medianMs } from "../../evaluate/bench/engine.ts";
import type { Arm } from "../../evaluate/claim/arms.node.ts";
import { attend } from "../../nn/layers.ts";
import { scalePlan } from "../../plan/scales.ts";
import type { Device } from "../../runtime/device.ts";
import { peakBytes } from "../../runtime/memory.ts";
import { compile } from "../../runtime/program.ts";
import { type Graph, trace } from "../../runtime/trace.ts";
import type { Value } from "../../runtime/values.ts";
import { symbol } from "../../tensor/dims.ts";
import { concat } from "../../tensor/ops/structure.ts";
import { RandomStream } from "../../tensor/random.ts";
import { float32 } from "../../tensor/tensor.ts";

export interface AttentionOptions {
  readonly patchNums: readonly number[];
  readonly width: number;
  readonly numHeads: number;
  readonly batches: readonly number[];
  readonly repeats: number;
}

/** Guided rows per picture. */
const branches = 2;

/** Sites N of one scale over themselves and, where `cached`, over M past ones: [R, H, N, D] each. */
export function attentionGraph(numHeads: number, headWidth: number, cached: boolean): Graph {
  const [R, N, M] = [symbol("R"), symbol("N"), symbol("M")];
  const sites = float32(R, numHeads, N, headWidth);
  const past = float32(R, numHeads, M, headWidth);
  const scale = 1 / Math.sqrt(headWidth);
  if (!cached)
    return trace({ query: sites, key: sites, value: sites }, ({ query, key, value }) => ({
      mixed: attend(query, key, value, scale),
    }));
  const specs = { query: sites, key: sites, value: sites, pastKey: past, pastValue: past };
  return trace(specs, ({ query, key, value, pastKey, pastValue }) => {
    const [keys, values] = [concat([pastKey, key], 2), concat([pastValue, value], 2)];
    return { mixed: attend(query, keys, values, scale), keys, values };
  });
}

const noise = (stream: RandomStream, ...shape: number[]): Value => ({
  data: stream.normals(shape.reduce((product, size) => product * size, 1)),
  shape,
});

/** Name of the arm of a schedule and a width. */
export const attentionName = ({ patchNums, width }: Pick<AttentionOptions, "patchNums" | "width">): string =>
  `attention-${scalePlan(patchNums).length}-${width}`;

/** Lists over batches of `hmar:ms`, `var:ms`, and `hmar:bytes`, `var:bytes`: alive in the pass over the last scale. */
export function attentionArm(
  { patchNums, width, numHeads, batches, repeats }: AttentionOptions,
  device: Device,
  onProgress?: (text: string) => void,
): Arm {
  const { groups } = scalePlan(patchNums);
  const name = attentionName({ patchNums, width });
  const headWidth = width / numHeads;
  const sides = { hmar: false, var: true } as const;
  const bytes = () =>
    Object.fromEntries(
      Object.entries(sides).map(([side, cached]) => {
        const { outputs } = attentionGraph(numHeads, headWidth, cached);
        const { size = 0, start = 0 } = groups.at(-1) ?? {};
        const peaks = batches.map((images) =>
          peakBytes(
            Object.values(outputs),
            new Map(Object.entries({ R: branches * images, N: size, M: start })),
          ),
        );
        return [`${side}:bytes`, peaks];
      }),
    );
  return {
    name,
    definition: { patchNums, width, numHeads, batches, repeats, branches, version: 1 },
    run: async ({ signal }) => {
      const numbers: Record<string, number[]> = bytes();
      for (const [side, cached] of Object.entries(sides)) {
        using program = await compile(attentionGraph(numHeads, headWidth, cached), { device });
        const times: number[] = [];
        for (const images of batches) {
          onProgress?.(`${name}, ${side}, ${images} images`);
          const stream = RandomStream.from(1, "attention");
          const passes = groups.map(({ size, start }) => {
            const fed = (sites: number) => noise(stream, branches * images, numHeads, sites, headWidth);
            return {
              ...{ query: fed(size), key: fed(size), value: fed(size) },
              ...(cached && { pastKey: fed(start), pastValue: fed(start) }),
            };
          });
          const generate = async () => {
            for (const inputs of passes) {
              signal?.throwIfAborted();
              await program.run(inputs);
            }
          };
          times.push(await medianMs(generate, repeats));
        }
        numbers[`${side}:ms`] = times;
      }
      return { numbers };
    },
    recompute: async () => ({ numbers: bytes(), tolerance: 0 }),
  };
}
