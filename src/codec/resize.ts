/**
 * Resizing as matrices, so that one program serves every schedule: area (adaptive average pooling) and bicubic (Keys,
 * a = -0.75, half-pixel centres, no antialias, border clamped), exactly as PyTorch's interpolate computes them.
 */
import { floats, type Value } from "../runtime/values.ts";

/** One axis, `to` x `from`: bin i averages floor(i from / to) .. ceil((i + 1) from / to). */
function areaAxis(from: number, to: number): Float64Array {
  const m = new Float64Array(to * from);
  for (let i = 0; i < to; i++) {
    const start = Math.floor((i * from) / to);
    const end = Math.ceil(((i + 1) * from) / to);
    for (let j = start; j < end; j++) m[i * from + j] = 1 / (end - start);
  }
  return m;
}

/** Keys' cubic kernel at distance d. */
function keys(d: number): number {
  const a = -0.75;
  const x = Math.abs(d);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0;
}

function bicubicAxis(from: number, to: number): Float64Array {
  const m = new Float64Array(to * from);
  for (let i = 0; i < to; i++) {
    const centre = ((i + 0.5) * from) / to - 0.5;
    const base = Math.floor(centre);
    for (let tap = base - 1; tap <= base + 2; tap++) {
      const j = Math.min(Math.max(tap, 0), from - 1);
      m[i * from + j] = (m[i * from + j] as number) + keys(centre - tap); // in range
    }
  }
  return m;
}

function bilinearAxis(from: number, to: number): Float64Array {
  const m = new Float64Array(to * from);
  for (let i = 0; i < to; i++) {
    const centre = Math.max(((i + 0.5) * from) / to - 0.5, 0);
    const low = Math.min(Math.floor(centre), from - 1);
    const high = Math.min(low + 1, from - 1);
    const weight = centre - low;
    m[i * from + low] = (m[i * from + low] as number) + 1 - weight; // in range
    m[i * from + high] = (m[i * from + high] as number) + weight;
  }
  return m;
}

/** Both axes of a square map at once, transposed for `x (.., from^2) @ matrix`: [from^2, to^2], row-major. */
function square(axis: Float64Array, from: number, to: number): Float32Array {
  const out = new Float32Array(from * from * to * to);
  for (let y = 0; y < to; y++) {
    for (let x = 0; x < to; x++) {
      for (let v = 0; v < from; v++) {
        const rowWeight = axis[y * from + v] as number; // in range
        if (rowWeight === 0) continue;
        for (let u = 0; u < from; u++) {
          out[(v * from + u) * to * to + y * to + x] = rowWeight * (axis[x * from + u] as number); // in range
        }
      }
    }
  }
  return out;
}

/** Average pooling of a `from` x `from` map to `to` x `to`: a [from^2, to^2] matrix (identity when equal). */
export function areaMatrix(from: number, to: number): Float32Array {
  return square(areaAxis(from, to), from, to);
}

/** Bicubic resizing of a `from` x `from` map to `to` x `to`: a [from^2, to^2] matrix (identity when equal). */
export function bicubicMatrix(from: number, to: number): Float32Array {
  return square(from === to ? areaAxis(from, to) : bicubicAxis(from, to), from, to);
}

/** Bicubic resizing to `via` x `via`, then average pooling to `to` x `to`: a [from^2, to^2] matrix. */
export function bicubicThenAreaMatrix(from: number, via: number, to: number): Float32Array {
  const up = from === via ? areaAxis(from, via) : bicubicAxis(from, via);
  const down = areaAxis(via, to);
  const both = new Float64Array(to * from);
  for (let i = 0; i < to; i++)
    for (let v = 0; v < via; v++)
      for (let j = 0; j < from; j++)
        both[i * from + j] =
          (both[i * from + j] as number) + (down[i * via + v] as number) * (up[v * from + j] as number); // in range
  return square(both, from, to);
}

/** Average pooling of one axis: a [from, to] matrix for `x (.., from) @ matrix`. */
export function areaRows(from: number, to: number): Float32Array {
  const axis = areaAxis(from, to);
  return Float32Array.from(
    { length: from * to },
    (_, i) => axis[(i % to) * from + Math.floor(i / to)] as number,
  ); // in range
}

/** Maps [..., S, S] at another side: averaged when smaller, bicubic when larger. */
export function resizePictures({ data, shape }: Value, to: number): Value {
  const from = shape[shape.length - 1] as number; // pictures have at least two axes
  if (from === to) return { data, shape };
  const axis = to < from ? areaAxis(from, to) : bicubicAxis(from, to);
  const maps = data.length / (from * from);
  const out = new Float32Array(maps * to * to);
  const wide = new Float64Array(from * to);
  for (let map = 0; map < maps; map++) {
    for (let y = 0; y < from; y++) {
      for (let x = 0; x < to; x++) {
        let sum = 0;
        for (let u = 0; u < from; u++)
          sum += (axis[x * from + u] as number) * (data[(map * from + y) * from + u] as number); // in range
        wide[y * to + x] = sum;
      }
    }
    for (let y = 0; y < to; y++) {
      for (let x = 0; x < to; x++) {
        let sum = 0;
        for (let v = 0; v < from; v++) sum += (axis[y * from + v] as number) * (wide[v * to + x] as number); // in range
        out[(map * to + y) * to + x] = sum;
      }
    }
  }
  return { data: out, shape: [...shape.slice(0, -2), to, to] };
}

/** Bilinear resizing (half-pixel centres) of a map on the host: values [from^2] -> [to^2]. */
export function resizeBilinear(values: Float32Array, from: number, to: number): Float32Array {
  const matrix = square(bilinearAxis(from, to), from, to);
  return Float32Array.from({ length: to * to }, (_, j) =>
    values.reduce((total, value, i) => total + value * (matrix[i * to * to + j] as number), 0),
  );
}

/** Sites [B, N, Z] of square maps as the maps [B, Z, side, side]. */
export function asMap({ data, shape: [batch = 0, size = 0, width = 0] }: Value): Value {
  const out = new Float32Array(data.length);
  for (let b = 0; b < batch; b++)
    for (let i = 0; i < size; i++)
      for (let c = 0; c < width; c++)
        out[(b * width + c) * size + i] = data[(b * size + i) * width + c] as number; // in range
  const side = Math.sqrt(size);
  return floats(out, [batch, width, side, side]);
}
