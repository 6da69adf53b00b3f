/** What the window ops mean, in float64 loops from their definition. Test-only. */
import { type Nd, nd } from "./ndarray.ts";

type Four = [number, number, number, number];

/** Calls `combine` with the values of each window (NaN-free padding left out) and their positions in the kernel. */
function overWindows(
  x: Nd,
  { kernel, stride, pads }: { kernel: number; stride: number; pads: Four },
  combine: (values: readonly number[], places: readonly number[], channel: number) => number,
): Nd {
  const [b, c, h, w] = x.shape as Four;
  const [top, left, bottom, right] = pads;
  const [rows, columns] = [(h + top + bottom - kernel) / stride, (w + left + right - kernel) / stride].map(
    (span) => Math.floor(span) + 1,
  ) as [number, number];
  const out: number[] = [];
  for (let n = 0; n < b * c; n++) {
    for (let i = 0; i < rows * columns; i++) {
      const [values, places]: [number[], number[]] = [[], []];
      for (let t = 0; t < kernel * kernel; t++) {
        const y = Math.floor(i / columns) * stride - top + Math.floor(t / kernel);
        const z = (i % columns) * stride - left + (t % kernel);
        if (y < 0 || y >= h || z < 0 || z >= w) continue;
        values.push(x.data[(n * h + y) * w + z] as number);
        places.push(t);
      }
      out.push(combine(values, places, n % c));
    }
  }
  return nd(out, [b, c, rows, columns]);
}

/** A rule of rules.ts, as far as these ops need it. */
type Rule = (inputs: readonly Nd[], context: { readonly attrs: Readonly<Record<string, unknown>> }) => Nd;
type Attrs = { kernel: number; stride: number; pads: Four };

export const windowRules: Readonly<Record<string, Rule>> = {
  maxPool2d: ([x], { attrs }) =>
    overWindows(x as Nd, attrs as unknown as Attrs, (values) => Math.max(...values)),
  depthwiseConv2d: ([x, w], { attrs }) => {
    const places = (attrs as unknown as Attrs).kernel ** 2;
    return overWindows(x as Nd, attrs as unknown as Attrs, (values, at, channel) =>
      values.reduce(
        (total, value, i) => total + value * ((w as Nd).data[channel * places + (at[i] as number)] as number),
        0,
      ),
    );
  },
};
