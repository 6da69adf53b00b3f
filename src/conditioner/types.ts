/** The conditioner axis: what a model is told besides its past, and its null version for guidance. */
import type { Tensor } from "../tensor/tensor.ts";

/** Classes as one vector per row, which modulates layers or starts the sequence. */
export interface LabelConditioner {
  readonly numClasses: number;
  /** The label that stands for "no class": dropped labels in training, the unconditional rows of guidance. */
  readonly nullLabel: number;
  /** Labels [B] (nullLabel included) -> vectors [B, C]. */
  vector(labels: Tensor): Tensor;
}
