/**
 * Signed distances (negative inside) of the silhouettes, in units of 1/32 of the picture, y down, centred near 0.
 * Only + - * / and Math.sqrt are used, which IEEE 754 fixes, so pictures are the same bytes on every platform.
 */

/** Distance from (x, y) to an outline. */
export type SignedDistance = (x: number, y: number) => number;

function length(x: number, y: number): number {
  return Math.sqrt(x * x + y * y);
}

/** A disc. */
export function disc(radius: number): SignedDistance {
  return (x, y) => length(x, y) - radius;
}

/** A box with rounded corners; `halfX` and `halfY` include the rounding. */
export function roundedBox(halfX: number, halfY: number, radius: number): SignedDistance {
  return (x, y) => {
    const dx = Math.abs(x) - halfX + radius;
    const dy = Math.abs(y) - halfY + radius;
    return length(Math.max(dx, 0), Math.max(dy, 0)) + Math.min(Math.max(dx, dy), 0) - radius;
  };
}

/** A polygon given as x0, y0, x1, y1, ... Source: Quilez, "2D distance functions" (sdPolygon). */
export function polygon(points: readonly number[], radius = 0): SignedDistance {
  const n = points.length / 2;
  return (x, y) => {
    let squared = Number.POSITIVE_INFINITY;
    let inside = false;
    for (let i = 0, j = n - 1; i < n; j = i++) {
      const [xi, yi] = [points[2 * i] as number, points[2 * i + 1] as number]; // i < n
      const ex = (points[2 * j] as number) - xi; // j < n
      const ey = (points[2 * j + 1] as number) - yi;
      const along = Math.min(Math.max(((x - xi) * ex + (y - yi) * ey) / (ex * ex + ey * ey), 0), 1);
      const dx = x - xi - ex * along;
      const dy = y - yi - ey * along;
      squared = Math.min(squared, dx * dx + dy * dy);
      const [above, below] = [y >= yi, y < yi + ey];
      const left = ex * (y - yi) > ey * (x - xi);
      if (above === below && below === left) inside = !inside;
    }
    return (inside ? -1 : 1) * Math.sqrt(squared) - radius;
  };
}

function union(a: SignedDistance, b: SignedDistance): SignedDistance {
  return (x, y) => Math.min(a(x, y), b(x, y));
}

function subtract(a: SignedDistance, b: SignedDistance): SignedDistance {
  return (x, y) => Math.max(a(x, y), -b(x, y));
}

function moved(a: SignedDistance, offsetX: number, offsetY: number): SignedDistance {
  return (x, y) => a(x - offsetX, y - offsetY);
}

/** Source: Quilez, "2D distance functions" (sdHeart). */
function heart(scale: number, bottom: number): SignedDistance {
  return (px, py) => {
    const x = Math.abs(px) / scale;
    const y = (bottom - py) / scale;
    if (x + y > 1) return (length(x - 0.25, y - 0.75) - 0.3535533905932738) * scale;
    const half = 0.5 * Math.max(x + y, 0);
    const squared = Math.min(x * x + (y - 1) * (y - 1), (x - half) * (x - half) + (y - half) * (y - half));
    return Math.sqrt(squared) * (x > y ? scale : -scale);
  };
}

/** Ten corners, radius 1 and 0.5 in turn, from the top. */
const starCorners = [
  0, -1, 0.2938926261462366, -0.4045084971874737, 0.9510565162951535, -0.3090169943749474, 0.4755282581475768,
  0.1545084971874737, 0.5877852522924731, 0.8090169943749475, 0, 0.5, -0.5877852522924731, 0.8090169943749475,
  -0.4755282581475768, 0.1545084971874737, -0.9510565162951535, -0.3090169943749474, -0.2938926261462366,
  -0.4045084971874737,
];

/** A table holds distances at multiples of 1/4, from -tableReach to tableReach. */
const tableReach = 20;
const tableSide = 8 * tableReach + 1;

/**
 * Distances at multiples of 1/4 within 20 of the centre, computed at the first look. That is all that the renderer asks
 * for, because sizes, places and offsets are multiples of 1/4.
 */
export class DistanceTable {
  readonly #distance: SignedDistance;
  #table: Float64Array | undefined;

  constructor(distance: SignedDistance) {
    this.#distance = distance;
  }

  /** Distance from (x, y), multiples of 1/4 within 20. */
  at(x: number, y: number): number {
    this.#table ??= Float64Array.from({ length: tableSide * tableSide }, (_, i) =>
      this.#distance((i % tableSide) / 4 - tableReach, Math.floor(i / tableSide) / 4 - tableReach),
    );
    return this.#table[(y + tableReach) * 4 * tableSide + (x + tableReach) * 4] as number; // within reach
  }
}

/** Inner outline of each of `shapeNames`, in the same order. */
export const shapeOutlines: readonly DistanceTable[] = [
  disc(6.9),
  roundedBox(6.1, 6.1, 1.2),
  polygon([0, -6.9, 6.9, 0, 0, 6.9, -6.9, 0], 0.8),
  polygon([0, -6.2, 6.6, 5.2, -6.6, 5.2], 0.8),
  moved(
    polygon(
      starCorners.map((corner) => corner * 7.2),
      0.7,
    ),
    0,
    0.5,
  ),
  heart(11.6, 6.7),
  union(roundedBox(7, 2.7, 0.8), roundedBox(2.7, 7, 0.8)),
  subtract(disc(7.4), moved(disc(5.6), 5.75, -3)),
].map((distance) => new DistanceTable(distance));

/** Where the `core` texture sits in each shape. */
export const shapeCores: readonly (readonly [number, number])[] = [
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 1.6],
  [0, 0.5],
  [0, -0.6],
  [0, 0],
  [-2.75, 1.5],
];
