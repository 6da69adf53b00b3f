/** Nearest codes by distance, as one matrix product and an argmax. */
import { type Dim, mulDims } from "../tensor/dims.ts";
import { mul, square, sub } from "../tensor/ops/elementwise.ts";
import { argmaxLast } from "../tensor/ops/gather.ts";
import { matmul } from "../tensor/ops/linear.ts";
import { reshape, sum } from "../tensor/ops/structure.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Index of the code nearest to each vector: [B, N, C] and book [V, C] -> int32 [B, N]; the lowest index on ties. */
export function nearestCode(vectors: Tensor, book: Tensor): Tensor {
  // |z - e|^2 = |z|^2 - 2 (z e - |e|^2 / 2): the largest bracket is the nearest code.
  const half = mul(sum(square(book), [1]), 0.5);
  const [b, n, c] = vectors.shape as [Dim, Dim, Dim];
  const products = matmul(reshape(vectors, [mulDims(b, n), c]), book, false, true);
  return reshape(argmaxLast(sub(products, half)), [b, n]);
}
