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

/** The same from marked pixels [size^2]: a site is marked where at least half of its pixels are. */
export function pixelMask(side: number, marked: Uint8Array, inpainting: boolean): Float32Array {
  const size = Math.round(Math.sqrt(marked.length));
  const [own, all] = [new Int32Array(side * side), new Int32Array(side * side)];
  for (const [i, mark] of marked.entries()) {
    const [y, x] = [Math.floor(i / size), i % size].map((at) => Math.floor(((at + 0.5) * side) / size)) as [
      number,
      number,
    ];
    const site = y * side + x;
    all[site] = (all[site] as number) + 1;
    if (mark !== 0) own[site] = (own[site] as number) + 1;
  }
  return Float32Array.from(own, (count, site) => {
    const isMarked = count > 0 && 2 * count >= (all[site] as number);
    return isMarked === inpainting ? 0 : 1;
  });
}

/** What a request marks, with a box or a drawing, and which side of it becomes new. */
export interface MarkedPart {
  readonly box?: Box | undefined;
  /** size^2, not 0 where marked. */
  readonly mask?: Uint8Array | undefined;
  readonly where: "inside" | "outside";
}

/**
 * The mask of a request, which asks for something.
 * @throws NextxError EDIT_BAD_BOX, EDIT_BAD_MASK for a box or a drawing that holds no site, or not one of them
 */
export function requestMask(side: number, { box, mask, where }: MarkedPart): Float32Array {
  const inpainting = where === "inside";
  if ((box === undefined) === (mask === undefined))
    throw new NextxError("EDIT_BAD_MASK", "An edit has a box or a mask.", { path: "edit" });
  const keep = mask ? pixelMask(side, mask, inpainting) : boxMask(side, box as Box, inpainting); // one of them is there
  if (keep.includes(inpainting ? 0 : 1)) return keep;
  const none = `holds none of the ${side} x ${side} parts of a picture.`;
  if (mask)
    throw new NextxError("EDIT_BAD_MASK", `The mask ${none}`, {
      path: "mask",
      hint: "Light pixels mark; a part counts when at least half of it is marked.",
    });
  throw new NextxError("EDIT_BAD_BOX", `The box ${none}`, {
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
