/** FlexVAR's loop for other runtimes, for one schedule: every scale is the enlarged map of the one before. */
import { bicubicMatrix } from "../../codec/resize.ts";
import { poolMatrix } from "../../codec/scaleMatrices.ts";
import { startGraph, stepGraph } from "../../decoding/groupPrograms.ts";
import type { Weights } from "../../nn/scope.ts";
import { scalePlan } from "../../plan/scales.ts";
import type { LoopExport } from "../../regimen/exportLoop.ts";
import type { ModelDescription } from "../../regimen/system.ts";
import type { Device } from "../../runtime/device.ts";
import { compile } from "../../runtime/program.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { largestSide } from "./config.ts";
import { guidanceOf } from "./generate.ts";
import { advanceGraph, codesGraph, decodeGraph, positionsGraph } from "./programs.ts";
import { buildSar, sarModelSchema, sarSamplingSchema } from "./sarModel.ts";

/** Graphs, matrices and the loop of a model. Errors: CONFIG_ codes, PLAN_BAD_SCHEDULE. */
export async function sarLoop(
  description: ModelDescription,
  weights: Weights,
  settings: Readonly<Record<string, unknown>>,
  device: Device,
): Promise<LoopExport> {
  const { schedule, guidance, cfgScale, topK, topP, temperature } = sarSamplingSchema.parse(settings);
  const config = sarModelSchema.parse(description.config);
  const { tokenizer, transformer } = buildSar(config);
  const { depth, embedDim, numHeads, sampledSides, positionSide, patchNums } = config.transformer;
  const { vocabSize, codeWidth } = config.tokenizer;
  const plan = scalePlan(schedule ?? patchNums);
  const { groups } = plan;
  const firstSize = groups[0]?.size ?? 1;
  using program = await compile(codesGraph(tokenizer), { device, weights, prepack: false });
  const { codes } = await program.run({});
  const tensors = new Map<string, Value>([["codebook", codes as Value]]); // the graph's output
  const { data, shape } = poolMatrix(positionSide, plan);
  tensors.set("place", floats(data, shape));
  for (const [index, scale] of groups.entries()) {
    const next = groups[index + 1];
    if (next)
      tensors.set(`next.${index}`, floats(bicubicMatrix(scale.side, next.side), [scale.size, next.size]));
  }
  const maxSide = largestSide(config.transformer);
  // t is linear in cfgScale: its value at 0 and its growth to 1.
  const at = (scale: number) =>
    groups.map((group) => guidanceOf(group, groups.length, { cfgScale: scale, guidance, maxSide }));
  const [offset, one] = [at(0), at(1)];
  return {
    graphs: {
      positions: positionsGraph(transformer),
      start: startGraph(transformer, 1, firstSize),
      "start-guided": startGraph(transformer, 2, firstSize),
      step: stepGraph(transformer, 1),
      "step-guided": stepGraph(transformer, 2),
      advance: advanceGraph(tokenizer, transformer),
      decode: decodeGraph(tokenizer),
    },
    tensors,
    description: {
      scales: groups.map(({ side, start, size }) => ({ side, start, size })),
      vocabSize,
      codeWidth,
      width: embedDim,
      cache: { layers: depth, heads: numHeads, headWidth: embedDim / numHeads },
      nullLabel: transformer.conditioner.nullLabel,
      guidance: { slope: one.map((t, i) => t - (offset[i] ?? 0)), offset },
      sampling: { cfgScale, topK, topP, temperature },
      greedy: groups.map(({ side }) => side > maxSide || !sampledSides.includes(side)),
      positions: { place: { from: "tensor", name: "place" } },
      advance: {
        codes: { from: "codes" },
        next: { from: "tensors", names: groups.slice(1).map((_, i) => `next.${i}`) },
        positions: { from: "nextPositions" },
      },
      advanceLast: false,
      decode: { features: { from: "codeMap" } },
      pictureSize: (groups.at(-1)?.side ?? 1) * tokenizer.factor,
    },
  };
}
