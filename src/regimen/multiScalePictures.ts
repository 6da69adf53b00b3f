/** Sampling, editing and round trips over a residual tokenizer; how scales are generated is handed in. */
import { repeatEdit } from "../codec/editMask.ts";
import { roundTripGraph } from "../codec/multiScalePrograms.ts";
import type { MultiScaleTokenizer } from "../codec/multiScaleTokenizer.ts";
import type { KeptTokens } from "../decoding/types.ts";
import type { Weights } from "../nn/scope.ts";
import type { Scale } from "../plan/types.ts";
import type { Device } from "../runtime/device.ts";
import type { Value } from "../runtime/values.ts";
import type { RandomStream } from "../tensor/random.ts";
import { editTokens } from "./editTokens.ts";
import { reconstructPictures } from "./reconstruct.ts";
import { type MadeGroup, samplePictures, scalesAtOnce } from "./samplePictures.ts";
import type { SampleEvent, SampleRequest } from "./system.ts";

/** What a request adds to a system's own settings. */
export interface ScaleSettings {
  readonly edit?: KeptTokens;
  readonly signal?: AbortSignal;
}

/** Scales of some labels, one stream each; `total` is the sum of what the scales add to the features. */
export type GenerateScales = (
  labels: Int32Array,
  settings: ScaleSettings,
  streams: readonly RandomStream[],
) => AsyncGenerator<MadeGroup<Scale> & { readonly total: Value }>;

export interface MultiScaleParts {
  readonly tokenizer: MultiScaleTokenizer;
  readonly nullLabel: number;
  readonly weights: Weights;
  readonly device: Device;
  /** Features to pictures [B, 3, S, S] in [-1, 1]. */
  decode(total: Value): Promise<Value>;
}

export class MultiScalePictures {
  readonly #parts: MultiScaleParts;

  constructor(parts: MultiScaleParts) {
    this.#parts = parts;
  }

  /** Errors: EDIT_ codes, ABORTED, those of `generate`. */
  async *sample(request: SampleRequest, generate: GenerateScales): AsyncGenerator<SampleEvent> {
    const { tokenizer, nullLabel, weights, device, decode } = this.#parts;
    const { signal } = request;
    const edit = request.edit && (await editTokens(request.edit, tokenizer, weights, device));
    yield* samplePictures(request, {
      ...{ plan: tokenizer.plan, nullLabel, imageSize: tokenizer.imageSize },
      atOnce: scalesAtOnce(device, tokenizer.imageSize),
      generate: (labels, streams) => {
        const kept = edit && { edit: repeatEdit(edit, labels.length) };
        return generate(labels, { ...kept, ...(signal && { signal }) }, streams);
      },
      decode: ({ total }) => decode(total),
    });
  }

  reconstruct(pixels: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    const { tokenizer, weights, device } = this.#parts;
    return reconstructPictures(
      { graph: roundTripGraph(tokenizer), weights },
      pixels,
      tokenizer.imageSize,
      device,
      signal,
    );
  }
}
