/** Which entries of a row are the largest, as a mask: what top-k selections inside a graph are made of. */
import { add, equal, where } from "../tensor/ops/elementwise.ts";
import { argmaxLast, oneHot } from "../tensor/ops/gather.ts";
import { broadcastTo } from "../tensor/ops/structure.ts";
import { dimOf, scalar, staticDim, type Tensor } from "../tensor/tensor.ts";

/** Far below any entry, and finite. */
const taken = -1e30;

/** 1 at the `count` largest entries of each row of x [..., L], else 0; of equal ones the first. No gradient. */
export function largestMask(x: Tensor, count: number): Tensor {
  const length = staticDim(dimOf(x, -1), "A selection");
  let rest = x;
  let mask = broadcastTo(scalar(0), x.shape);
  for (let i = 0; i < Math.min(count, length); i++) {
    const chosen = oneHot(argmaxLast(rest), length);
    rest = where(equal(chosen, 1), taken, rest);
    mask = add(mask, chosen);
  }
  return mask;
}
