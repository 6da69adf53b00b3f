/** One mixer of heads alone, over longer and longer series: time and bytes of auto-correlation and of attention. Quiet machine. */

import { medianMs } from "../../evaluate/bench/engine.ts";
import type { Arm } from "../../evaluate/claim/arms.node.ts";
import type { ClaimSetting } from "../../evaluate/claim/claim.ts";
import { autoCorrelation, ownLags } from "../../mixer/autoCorrelation.ts";
import { fullAttention } from "../../mixer/dotProduct.ts";
import type { HeadMixer } from "../../mixer/headMixer.ts";
import { peakBytes } from "../../runtime/memory.ts";
import { compile } from "../../runtime/program.ts";
import { type Graph, trace } from "../../runtime/trace.ts";
import { floats } from "../../runtime/values.ts";
import { RandomStream } from "../../tensor/random.ts";
import { float32 } from "../../tensor/tensor.ts";

export interface BlockOptions {
  readonly batch: number;
  readonly heads: number;
  readonly headWidth: number;
  readonly factor: number;
  readonly lengths: readonly number[];
  readonly repeats: number;
}

export const blocksName = "blocks";
export const blockKinds = ["correlation", "attention"] as const;
export type BlockKind = (typeof blockKinds)[number];

function blockGraph(
  kind: BlockKind,
  length: number,
  { batch, heads, headWidth, factor }: BlockOptions,
): Graph {
  const mixers: Readonly<Record<BlockKind, HeadMixer>> = {
    correlation: autoCorrelation(factor, ownLags),
    attention: fullAttention,
  };
  const spec = float32(batch, length, heads, headWidth);
  return trace({ q: spec, k: spec, v: spec }, ({ q, k, v }) => ({ mixed: mixers[kind](q, k, v) }));
}

/** Lists over lengths: `X:bytes` follow from shapes and liveness, `X:ms` are measured. */
export function blocksArm({ device, onProgress }: ClaimSetting, options: BlockOptions): Arm {
  const { batch, heads, headWidth, lengths, repeats } = options;
  const bytes = (kind: BlockKind) =>
    lengths.map((length) => peakBytes(Object.values(blockGraph(kind, length, options).outputs), new Map()));
  const counted = () => Object.fromEntries(blockKinds.map((kind) => [`${kind}:bytes`, bytes(kind)] as const));
  const timeOf = async (kind: BlockKind, length: number) => {
    onProgress?.(`${kind} over ${length} steps`);
    const shape = [batch, length, heads, headWidth] as const;
    const draw = (name: string) =>
      floats(RandomStream.from(1, name).normals(batch * length * heads * headWidth, 1), shape);
    const inputs = { q: draw("q"), k: draw("k"), v: draw("v") };
    using program = await compile(blockGraph(kind, length, options), { device, prepack: false });
    return await medianMs(() => program.run(inputs), repeats);
  };
  return {
    name: blocksName,
    definition: { ...options, version: 1 },
    run: async () => {
      const numbers: Record<string, number[]> = counted();
      for (const kind of blockKinds) {
        numbers[`${kind}:ms`] = [];
        for (const length of lengths) numbers[`${kind}:ms`]?.push(await timeOf(kind, length));
      }
      return { numbers };
    },
    recompute: async () => ({ numbers: counted(), tolerance: 0 }),
  };
}
