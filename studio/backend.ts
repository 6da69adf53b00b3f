/** Who makes pictures for the studio: a server, or this page itself. Both tell the same. */
import type { GenerateInput, ModelInfo, ServerEvent } from "../src/server/protocol.ts";
import { generate, listModels, type PictureRecipe, readRecipe } from "./api.ts";

export type GenerateEvent =
  | ServerEvent
  /** The model is being fetched; bytes. */
  | { readonly kind: "loading"; readonly done: number; readonly total: number };

export interface Backend {
  listModels(): Promise<ModelInfo[]>;
  /** The recipe inside a PNG, and the id of its model when it is there. Errors: ApiError. */
  readRecipe(file: Blob): Promise<{ readonly recipe: PictureRecipe; readonly model: string | null }>;
  /** Until it is over; aborting stops the work. Errors: ApiError, AbortError. */
  generate(request: GenerateInput, signal: AbortSignal): AsyncGenerator<GenerateEvent>;
}

/** The server that the page came from. */
export const serverBackend: Backend = { listModels, readRecipe, generate };
