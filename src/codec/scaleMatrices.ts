/**
 * The resizing of a whole schedule as matrices, so that one program serves every schedule: pooling a map to the sites of
 * all scales, and bringing every scale to the side of the next. Sites are columns or rows in token order.
 * Shape letters: P finest side, L tokens, N0 tokens of the first scale.
 */
import type { Plan, Scale } from "../plan/types.ts";
import { type Dim, mulDims } from "../tensor/dims.ts";
import { matmul } from "../tensor/ops/linear.ts";
import { reshape, transpose } from "../tensor/ops/structure.ts";
import { dimOf, type Tensor } from "../tensor/tensor.ts";
import { areaMatrix, bicubicMatrix } from "./resize.ts";

/** A dense matrix, row-major. */
export interface Matrix {
  readonly data: Float32Array;
  readonly shape: readonly [number, number];
}

/** Copies a [rows, columns] block into a matrix. */
function place(
  out: Matrix,
  block: Float32Array,
  columns: number,
  [row, column]: readonly [number, number],
): void {
  const width = out.shape[1];
  for (let r = 0; r * columns < block.length; r++)
    out.data.set(block.subarray(r * columns, (r + 1) * columns), (row + r) * width + column);
}

function empty(rows: number, columns: number): Matrix {
  return { data: new Float32Array(rows * columns), shape: [rows, columns] };
}

/** Area pooling of a `side` x `side` map to the sites of all scales: [side^2, L]. */
export function poolMatrix(side: number, { groups, length }: Plan<Scale>): Matrix {
  const out = empty(side * side, length);
  for (const scale of groups) place(out, areaMatrix(side, scale.side), scale.size, [0, scale.start]);
  return out;
}

/** Every scale resized to the side of the next: [L, L - N0]; the last scale goes nowhere. */
export function nextMatrix(
  { groups, length }: Plan<Scale>,
  resize: (from: number, to: number) => Float32Array = bicubicMatrix,
): Matrix {
  const first = groups[0]?.size ?? 0;
  const out = empty(length, length - first);
  for (const scale of groups) {
    const next = groups[scale.index + 1];
    if (next) place(out, resize(scale.side, next.side), next.size, [scale.start, next.start - first]);
  }
  return out;
}

/** Bicubic resizing of chosen scales to their next ones, side by side: [L, sites of those next scales]. */
export function transitionMatrix({ groups, length }: Plan<Scale>, transitions: readonly Scale[]): Matrix {
  const nexts = transitions.map((scale) => groups[scale.index + 1]);
  const out = empty(
    length,
    nexts.reduce((sum, next) => sum + (next?.size ?? 0), 0),
  );
  let column = 0;
  for (const [i, scale] of transitions.entries()) {
    const next = nexts[i];
    if (next === undefined) continue;
    place(out, bicubicMatrix(scale.side, next.side), next.size, [scale.start, column]);
    column += next.size;
  }
  return out;
}

/** Sites as rows times a matrix: x [B, N, C], matrix [N, M] -> [B, M, C]. */
export function resampleSites(x: Tensor, matrix: Tensor): Tensor {
  const [b, n, c] = x.shape as [Dim, Dim, Dim];
  const rows = reshape(transpose(x, [0, 2, 1]), [mulDims(b, c), n]);
  return transpose(reshape(matmul(rows, matrix), [b, c, dimOf(matrix, 1)]), [0, 2, 1]); // (B, M, C)
}

/** A map's sites times a matrix: x [B, C, H, W], matrix [H W, M] -> [B, M, C]. */
export function resampleMap(x: Tensor, matrix: Tensor): Tensor {
  const [b, c, h, w] = x.shape as [Dim, Dim, Dim, Dim];
  const rows = reshape(x, [mulDims(b, c), mulDims(h, w)]);
  return transpose(reshape(matmul(rows, matrix), [b, c, dimOf(matrix, 1)]), [0, 2, 1]); // (B, M, C)
}
