/** xAR's generation: one path from noise per entity, guidance rising over the entities. Source: `models/xar.py` (code). */
import { checkLabels } from "../../conditioner/classEmbedding.ts";
import { type FlowGroupResult, generateFlowGroups } from "../../decoding/flowGroupGenerator.ts";
import { type PathNoise, type PathOptions, solvePath } from "../../decoding/flowPaths.ts";
import type { ProgramStore } from "../../decoding/programStore.ts";
import type { XarTransformer } from "./model.ts";

export interface GenerateOptions extends PathOptions {
  /** Guidance t of the last entity, rising from 0 at the first: velocities are (1 + t) conditional - t unconditional. */
  readonly cfgScale: number;
  readonly signal?: AbortSignal;
}

/** Values of `labels.length` pictures in the plan's order; yields after every entity. Errors: LABEL_, ABORTED. */
export async function* generateEntities(
  model: XarTransformer,
  programs: ProgramStore,
  labels: Int32Array,
  options: GenerateOptions,
  noise: PathNoise,
): AsyncGenerator<FlowGroupResult> {
  checkLabels(labels, model.conditioner);
  const { cfgScale, signal } = options;
  const last = model.plan.groups.length - 1;
  yield* generateFlowGroups(model, programs, {
    labels,
    // One entity alone takes all the guidance (inferred).
    guidance: ({ index }) => 1 + cfgScale * (last === 0 ? 1 : index / last),
    solve: (group, field) => solvePath(group, field, options, noise),
    ...(signal && { signal }),
  });
}
