/**
 * Zero-shot editing: which tokens to keep, per scale, from a mask over the finest map. Source: VAR
 * `demo_zero_shot_edit.ipynb` (code): bilinear resize, keep where > 0.5, scales of at most 3 sites kept completely.
 */
import type { KeptTokens } from "../decoding/types.ts";
import type { Plan, Scale } from "../plan/types.ts";
import { NextxError } from "../tensor/errors.ts";
import { resizeBilinear } from "./resize.ts";

/** A box in fractions of the picture; x1 and y1 are exclusive ends. */
export interface Box {
  readonly y0: number;
  readonly x0: number;
  readonly y1: number;
  readonly x1: number;
}

/** Rounds half to even, as Python's round does. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Mask over the finest map, 1 = keep: in-painting keeps everything outside the box, out-painting what is inside. */
export function boxMask(side: number, box: Box, inpainting: boolean): Float32Array {
  for (const [name, value] of Object.entries(box)) {
    if (!(value >= 0 && value <= 1)) {
      throw new NextxError("EDIT_BAD_BOX", `Box sides are fractions from 0 to 1, got ${value}.`, {
        path: name,
      });
    }
  }
  const [y0, y1] = [roundHalfEven(box.y0 * side), roundHalfEven(box.y1 * side)];
  const [x0, x1] = [roundHalfEven(box.x0 * side), roundHalfEven(box.x1 * side)];
  return Float32Array.from({ length: side * side }, (_, i) => {
    const [y, x] = [Math.floor(i / side), i % side];
    const inside = y >= y0 && y < y1 && x >= x0 && x < x1;
    return inside === inpainting ? 0 : 1;
  });
}

/** The mask of a request, which asks for something. @throws NextxError EDIT_BAD_BOX for a box that holds no site */
export function requestMask(side: number, box: Box, inpainting: boolean): Float32Array {
  const mask = boxMask(side, box, inpainting);
  if (mask.includes(inpainting ? 0 : 1)) return mask;
  throw new NextxError("EDIT_BAD_BOX", `The box holds none of the ${side} x ${side} parts of a picture.`, {
    path: "box",
    hint: "It is y0,x0,y1,x1 with y1 above y0 and x1 above x0; make it larger.",
  });
}

/** Keep flags per scale from a mask [side^2] over the finest map, with the source tokens [B * L]. */
export function editPlan(plan: Plan<Scale>, mask: Float32Array, ids: Int32Array): KeptTokens {
  const side = Math.round(Math.sqrt(mask.length));
  const keep = plan.groups.map((scale) => {
    if (scale.size <= 3) return new Uint8Array(scale.size).fill(1);
    return Uint8Array.from(resizeBilinear(mask, side, scale.side), (value) => (value > 0.5 ? 1 : 0));
  });
  return { ids, keep };
}

/** The edit of one picture for `count` pictures. */
export function repeatEdit({ ids, keep }: KeptTokens, count: number): KeptTokens {
  const repeated = new Int32Array(ids.length * count);
  for (let i = 0; i < count; i++) repeated.set(ids, i * ids.length);
  return { ids: repeated, keep };
}
