/** What layers over weights of few bits mean, in float64 loops from their definition. Test-only. */
import type { Int4Weight, Int8Weight } from "../lowBits.ts";
import type { ByteRange } from "../ops/quantised.ts";
import { generate, get, type Nd, nd } from "./ndarray.ts";

/** A rule of rules.ts, as far as these ops need it. */
type Rule = (inputs: readonly Nd[], context: { readonly attrs: Readonly<Record<string, unknown>> }) => Nd;

/** The nearest whole number, halves to the even one. */
function nearest(x: number): number {
  const down = Math.floor(x);
  if (x - down !== 0.5) return Math.round(x);
  return down % 2 === 0 ? down : down + 1;
}

function product(rows: readonly (readonly number[])[], weight: readonly (readonly number[])[]): Nd {
  const entries = rows.flatMap((row) =>
    weight.map((column) => column.reduce((total, w, k) => total + w * (row[k] as number), 0)),
  );
  return nd(entries, [rows.length, weight.length]);
}

const rowsOf = ({ data, shape: [rows = 0, width = 0] }: Nd): number[][] =>
  Array.from({ length: rows }, (_, row) => [...data.slice(row * width, (row + 1) * width)]);

function int8Matrix({ codes, scales, shape: [, width = 0] }: Int8Weight): number[][] {
  return [...scales].map((scale, row) =>
    [...codes.slice(row * width, (row + 1) * width)].map((code) => code * scale),
  );
}

function int4Matrix({ codes, scales, shape: [rows = 0, width = 0] }: Int4Weight): number[][] {
  const blocks = scales.length / rows;
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: width }, (_, column) => {
      const [block, inside] = [Math.floor(column / 32), column % 32];
      const byte = codes[(row * blocks + block) * 16 + Math.floor(inside / 2)] as number;
      const code = inside % 2 === 1 ? Math.floor(byte / 16) : byte % 16;
      return (code - 8) * (scales[row * blocks + block] as number);
    }),
  );
}

/** The number that a byte gives back. */
function throughByte(x: number, { scale, zero }: ByteRange): number {
  return (Math.max(0, Math.min(255, nearest(x / scale) + zero)) - zero) * scale;
}

export const quantisedRules: Readonly<Record<string, Rule>> = {
  int8Linear: ([x], { attrs }) => {
    const rows = rowsOf(x as Nd).map((row) => {
      const scale = Math.max(...row.map(Math.abs)) / 127;
      return scale === 0 ? row : row.map((v) => nearest(v / scale) * scale);
    });
    return product(rows, int8Matrix(attrs.weight as Int8Weight));
  },
  int4Linear: ([x], { attrs }) => product(rowsOf(x as Nd), int4Matrix(attrs.weight as Int4Weight)),
  int8Conv2d: ([x, bias], { attrs }) => {
    const { codes, scales, shape } = attrs.weight as Int8Weight;
    const [out, inside, kh, kw] = shape as [number, number, number, number];
    const [input, output] = [attrs.input as ByteRange, attrs.output as ByteRange];
    const [stride, pads] = [attrs.stride as number, attrs.pads as [number, number, number, number]];
    const [b, , h, w] = (x as Nd).shape as [number, number, number, number];
    const side = (size: number, around: number, kernel: number) =>
      Math.floor((size + around - kernel) / stride) + 1;
    const sides = [side(h, pads[0] + pads[2], kh), side(w, pads[1] + pads[3], kw)];
    return generate([b, out, ...sides], (index) => {
      const [n, o, row, column] = index as [number, number, number, number];
      let total = 0;
      for (let i = 0; i < inside * kh * kw; i++) {
        const [channel, dy, dx] = [Math.floor(i / (kh * kw)), Math.floor(i / kw) % kh, i % kw];
        const [y, z] = [row * stride - pads[0] + dy, column * stride - pads[1] + dx];
        if (y < 0 || y >= h || z < 0 || z >= w) continue;
        const code = codes[o * inside * kh * kw + i] as number;
        total += code * throughByte(get(x as Nd, n, channel, y, z), input);
      }
      const step = (scales[o] as number) * input.scale;
      const steps = bias ? nearest((bias.data[o] as number) / step) : 0;
      const added = Math.max(-(2 ** 30), Math.min(2 ** 30, steps)) * step;
      return throughByte(total * (scales[o] as number) + added, output);
    });
  },
};
