/**
 * Plain float64 arrays for the reference interpreter: row-major data, index arithmetic, numpy broadcasting.
 * Test-only. Written for clarity, not speed; knows nothing of graphs.
 */

/** Numbers of any dtype as float64 (bool: 0 or 1). */
export interface Nd {
  readonly data: Float64Array;
  readonly shape: readonly number[];
}

export function count(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

export function nd(data: ArrayLike<number>, shape: readonly number[]): Nd {
  if (data.length !== count(shape)) throw new Error(`${data.length} values do not fill [${shape}]`);
  return { data: data instanceof Float64Array ? data : Float64Array.from(data), shape };
}

export function zeros(shape: readonly number[]): Nd {
  return { data: new Float64Array(count(shape)), shape };
}

/** Flat position of a multi-index. */
export function flat(index: readonly number[], shape: readonly number[]): number {
  return index.reduce((position, at, axis) => position * (shape[axis] as number) + at, 0);
}

export function get(x: Nd, ...index: readonly number[]): number {
  return x.data[flat(index, x.shape)] as number;
}

/** Every multi-index of a shape in row-major order (the array is reused). */
export function* indices(shape: readonly number[]): Generator<number[]> {
  const total = count(shape);
  const index = shape.map(() => 0);
  for (let n = 0; n < total; n++) {
    yield index;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (shape[axis] as number)) break;
      index[axis] = 0;
    }
  }
}

/** An array whose entry at each multi-index is computed. */
export function generate(shape: readonly number[], entry: (index: readonly number[]) => number): Nd {
  const out = zeros(shape);
  let n = 0;
  for (const index of indices(shape)) out.data[n++] = entry(index);
  return out;
}

/** Numpy's rule: axes align at the end, a missing axis or one of length 1 repeats. */
export function commonShape(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sides = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1);
    const side = sides.find((n) => n !== 1) ?? 1;
    if (sides.some((n) => n !== 1 && n !== side)) throw new Error(`no common shape: ${shapes.join(" | ")}`);
    return side;
  });
}

/** The entry of x that stands at `index` once x is broadcast to the index's rank. */
export function broadcastEntry(x: Nd, index: readonly number[]): number {
  const offset = index.length - x.shape.length;
  let position = 0;
  for (const [axis, side] of x.shape.entries()) {
    position = position * side + (side === 1 ? 0 : (index[axis + offset] as number));
  }
  return x.data[position] as number;
}

/** A function of entries, with broadcasting. */
export function map(f: (...values: number[]) => number, ...inputs: readonly Nd[]): Nd {
  const shape = commonShape(...inputs.map((x) => x.shape));
  return generate(shape, (index) => f(...inputs.map((x) => broadcastEntry(x, index))));
}

/** Applies a function to each row of the last axis. */
export function mapRows(x: Nd, f: (row: Float64Array, n: number) => ArrayLike<number>): Nd {
  const width = x.shape.at(-1) as number;
  const out = zeros(x.shape);
  for (let n = 0; n * width < x.data.length; n++) {
    out.data.set(f(x.data.subarray(n * width, (n + 1) * width), n), n * width);
  }
  return out;
}
