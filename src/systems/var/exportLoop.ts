/** VAR's loop for other runtimes: the accumulated features are the state, every scale adds to them. */
import { advanceGraph, decodeGraph } from "../../codec/multiScalePrograms.ts";
import { phiAssignment } from "../../codec/multiScaleVq.ts";
import { areaMatrix, bicubicMatrix } from "../../codec/resize.ts";
import { startGraph, stepGraph } from "../../decoding/groupPrograms.ts";
import { positionsGraph } from "../../mixer/levelledTransformer.ts";
import type { Weights } from "../../nn/scope.ts";
import { each, type LoopExport } from "../../regimen/exportLoop.ts";
import { codebookName } from "../../regimen/multiScaleModel.ts";
import type { ModelDescription } from "../../regimen/system.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { buildVar, varModelSchema, varSamplingSchema } from "./varModel.ts";

/** Graphs, resizing matrices and the loop of a model. Errors: CONFIG_ codes (CONFIG_BAD_VALUE for smooth). */
export async function varLoop(
  description: ModelDescription,
  weights: Weights,
  settings: Readonly<Record<string, unknown>>,
): Promise<LoopExport> {
  const { cfgScale, topK, topP, temperature, smooth } = varSamplingSchema.parse(settings);
  if (smooth) {
    throw new NextxError("CONFIG_BAD_VALUE", "An exported loop picks codes; it cannot mix them.", {
      path: "sampling.smooth",
      hint: "Leave out smooth, or sample with nextx.",
    });
  }
  const config = varModelSchema.parse(description.config);
  const { tokenizer, transformer } = buildVar(config);
  const { groups } = tokenizer.plan;
  const { side } = tokenizer.vq;
  const { zChannels, vocabSize, shareQuantResi } = config.tokenizer;
  const { depth, embedDim, numHeads } = config.transformer;
  const [first] = groups;
  const tensors = new Map<string, Value>([["codebook", weights.get(codebookName) as Value]]); // checked when it was opened
  for (const [index, scale] of groups.entries()) {
    const next = groups[index + 1] ?? first ?? scale;
    tensors.set(`up.${index}`, floats(bicubicMatrix(scale.side, side), [scale.size, side * side]));
    tensors.set(`down.${index}`, floats(areaMatrix(side, next.side), [side * side, next.size]));
  }
  const state = { from: "state", name: "total", shape: [zChannels, side, side] } as const;
  const last = Math.max(1, groups.length - 1);
  return {
    graphs: {
      positions: positionsGraph(transformer),
      start: startGraph(transformer, 1, transformer.firstSize),
      "start-guided": startGraph(transformer, 2, transformer.firstSize),
      step: stepGraph(transformer, 1),
      "step-guided": stepGraph(transformer, 2),
      advance: advanceGraph(tokenizer, transformer),
      decode: decodeGraph(tokenizer),
    },
    tensors,
    description: {
      scales: groups.map(({ side: own, start, size }) => ({ side: own, start, size })),
      vocabSize,
      codeWidth: zChannels,
      width: embedDim,
      cache: { layers: depth, heads: numHeads, headWidth: embedDim / numHeads },
      nullLabel: transformer.conditioner.nullLabel,
      guidance: { slope: groups.map(({ index }) => index / last), offset: each(groups, 0) },
      sampling: { cfgScale, topK, topP, temperature },
      greedy: each(groups, false),
      positions: {},
      advance: {
        codes: { from: "codes" },
        total: state,
        up: { from: "tensors", names: groups.map((_, i) => `up.${i}`) },
        down: { from: "tensors", names: groups.map((_, i) => `down.${i}`) },
        phi: { from: "values", values: phiAssignment(groups.length, shareQuantResi).ids },
        positions: { from: "nextPositions" },
      },
      advanceLast: true,
      decode: { features: state },
      pictureSize: tokenizer.imageSize,
    },
  };
}
