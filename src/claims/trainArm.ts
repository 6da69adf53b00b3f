/** Training as part of an arm: a stage in memory, for arms of the same form. */
import type { ClaimSetting } from "../evaluate/claim/claim.ts";
import { followed, type Trained } from "../evaluate/claim/followed.ts";
import type { Stage, StageContext } from "../regimen/system.ts";
import type { TokenCache } from "../regimen/tokenSet.ts";
import { trainStage } from "../regimen/trainStage.ts";

/** What stages of a claim's arms may use. */
export function stageContext(
  { device, openData, readWeights, onProgress }: ClaimSetting,
  { set, size }: { readonly set: string; readonly size: number },
  over: Pick<StageContext, "seed" | "earlier"> & {
    readonly tokens?: TokenCache;
    readonly signal?: AbortSignal;
  },
): StageContext {
  return {
    device,
    data: (split) => openData(set, size, split),
    readWeights,
    onProgress: (text, done, total) => onProgress?.(`${text} ${done} of ${total}`),
    ...over,
  };
}

/** Trains a stage to its end. Errors: those of `followed`. */
export const trained = (
  stage: Stage,
  context: StageContext,
  note: (text: string) => void,
): Promise<Trained> => followed(trainStage(stage, context), note);
