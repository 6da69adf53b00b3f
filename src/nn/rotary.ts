/**
 * Rotary positions over a map: half of a head's channels turn by the row, half by the column, in neighbouring pairs.
 * Source: FlowAR and xAR `models/rope.py` (code). Shape letters: B rows, H heads, L tokens, D head width.
 */
import { add, mul } from "../tensor/ops/elementwise.ts";
import { gatherRows } from "../tensor/ops/gather.ts";
import { linear } from "../tensor/ops/linear.ts";
import { constant, dimOf, staticDim, type Tensor } from "../tensor/tensor.ts";

/** Cosines and sines of every channel of a head, [L, D] each; both channels of a pair have the same angle. */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Where a token stands: row and column, in units of the angle table; fractions are possible. */
export type Place = readonly [number, number];

/** Angles of places: cosines and sines, [places * D] each, row-major. `headWidth` D is a multiple of 4. */
export function placeAngles(places: readonly Place[], headWidth: number, base = 10_000) {
  const half = headWidth / 2;
  const cos = new Float32Array(places.length * headWidth);
  const sin = new Float32Array(cos.length);
  for (const [l, place] of places.entries()) {
    for (let d = 0; d < headWidth; d++) {
      const pair = Math.floor((d % half) / 2);
      const angle = (d < half ? place[0] : place[1]) * base ** ((-2 * pair) / half);
      cos[l * headWidth + d] = Math.cos(angle);
      sin[l * headWidth + d] = Math.sin(angle);
    }
  }
  return { cos, sin };
}

/** The rotation of places as constants: all of them, or those at `at` [N] (int32 indices). */
export function placeRotation(places: readonly Place[], headWidth: number, at?: Tensor): Rotation {
  const { cos, sin } = placeAngles(places, headWidth);
  const table = (data: Float32Array) => {
    const all = constant(data, [places.length, headWidth]);
    return at === undefined ? all : gatherRows(all, at);
  };
  return { cos: table(cos), sin: table(sin) };
}

/** Turns neighbouring pairs of x [B, H, L, D]: (a, b) -> (a cos - b sin, b cos + a sin). */
export function rotatePairs(x: Tensor, { cos, sin }: Rotation): Tensor {
  const width = staticDim(dimOf(x, -1), "A rotation");
  const turn = new Float32Array(width * width); // (a, b) -> (-b, a); as a product, for slices of pairs are slow
  for (let d = 0; d < width; d += 2) {
    turn[d * width + d + 1] = -1;
    turn[(d + 1) * width + d] = 1;
  }
  return add(mul(x, cos), mul(linear(x, constant(turn, [width, width])), sin));
}
