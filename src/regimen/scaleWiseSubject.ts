/** A trained scale-wise model with everything that measuring it needs. Systems fill it; measurements know no system. */
import type { ScaleWiseModel } from "./scaleWise.ts";
import type { TokeniseRequest } from "./tokenSet.ts";

export interface ScaleWiseSubject {
  readonly model: ScaleWiseModel;
  /** Pictures to true tokens of the measured schedule; `weights` are those of tokenizer and transformer. */
  readonly tokenizer: Pick<TokeniseRequest, "graph" | "values" | "weights" | "plan" | "pictureShape">;
}
