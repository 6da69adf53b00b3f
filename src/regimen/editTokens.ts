/** From a picture and what is marked in it to the tokens that an edit keeps, for models over a multi-scale tokenizer. */
import { editPlan, requestMask } from "../codec/editMask.ts";
import { tokenizeGraph } from "../codec/multiScalePrograms.ts";
import type { MultiScaleTokenizer } from "../codec/multiScaleTokenizer.ts";
import { imagesToFloat } from "../data/pixels.ts";
import type { KeptTokens } from "../decoding/types.ts";
import type { Weights } from "../nn/scope.ts";
import type { Device } from "../runtime/device.ts";
import { compile } from "../runtime/program.ts";
import { floats, type Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import type { EditRequest } from "./system.ts";

/** Tokens of the picture, and where they stay. @throws NextxError EDIT_ codes */
export async function editTokens(
  { pixels, ...marked }: EditRequest,
  tokenizer: MultiScaleTokenizer,
  weights: Weights,
  device: Device,
): Promise<KeptTokens> {
  if (tokenizer.config.inChannels !== 3) {
    throw new NextxError("EDIT_BAD_PICTURE", "Only models of colour pictures can edit.", { path: "edit" });
  }
  const { imageSize } = tokenizer;
  using program = await compile(tokenizeGraph(tokenizer), { device, weights, prepack: false });
  const images = floats(imagesToFloat(pixels, 1, imageSize), [1, 3, imageSize, imageSize]);
  const ids = (await program.run({ images })).ids as Value; // the graph's output
  const mask = requestMask(tokenizer.vq.side, marked);
  return editPlan(tokenizer.plan, mask, ids.data as Int32Array);
}
