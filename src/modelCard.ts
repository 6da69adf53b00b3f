/** What is known of a model besides its weights: its card, and where it was found. */
import { z } from "zod";
import type { ModelFile } from "./formats/modelFile.ts";

/** What a model's card says. */
const cardSchema = z.looseObject({
  title: z.string(),
  system: z.string(),
  licence: z.string(),
  data: z.string(),
  /** Sampling options that suit the model. */
  sampling: z.record(z.string(), z.unknown()).default({}),
});
/** What a shipped model says of itself: its training, measures and sampling settings. */
export type ModelCard = z.infer<typeof cardSchema>;

export const shippedCardSchema = cardSchema.extend({ sha256: z.string() });
export type ShippedCard = z.infer<typeof shippedCardSchema>;

/** A model that was found, with its bytes' hash. */
export interface FoundModel extends ModelFile {
  /** Shipped name, or the path as given. */
  readonly name: string;
  readonly path: string;
  readonly sha256: string;
  /** Of a shipped model, or what its file carries of its original's. */
  readonly card: ModelCard | undefined;
  /** Name in recipes: no path. */
  readonly recipeName: string;
}
