import { describe, expect, it } from "vitest";
import { type HostTensor, viewTensor } from "../formats/hostTensor.ts";
import { openCpu } from "../runtime/device.node.ts";
import { compile } from "../runtime/program.ts";
import { trace } from "../runtime/trace.ts";
import { floats, type Value } from "../runtime/values.ts";
import { grad } from "../tensor/grad.ts";
import { add, mul } from "../tensor/ops/elementwise.ts";
import { RandomStream } from "../tensor/random.ts";
import { float32, type Tensor } from "../tensor/tensor.ts";
import { openPerceptualLoss } from "./perceptual.ts";
import { squeezeNetLayers } from "./squeezeNet.ts";

const fires = [16, 16, 32, 32, 48, 48, 64, 64];
const linear = [64, 128, 256, 384, 384, 512, 512];

const host = (values: Float32Array, shape: readonly number[]): HostTensor =>
  viewTensor("F32", shape, new Uint8Array(values.buffer));

/** A network of the right shapes with random weights. */
function files(): Map<string, Map<string, HostTensor>> {
  const stream = RandomStream.from(3, "perceptual");
  const network = new Map<string, HostTensor>();
  const conv = (name: string, side: number, from: number, to: number): void => {
    const length = side * side * from * to;
    network.set(
      `${name}/kernel`,
      host(stream.normals(length, 1 / Math.sqrt(side * side * from)), [side, side, from, to]),
    );
    network.set(`${name}/bias`, host(stream.normals(to, 0.1), [to]));
  };
  conv("conv1", 3, 3, 64);
  let inside = 64;
  for (const [i, squeeze] of fires.entries()) {
    conv(`fire${i + 2}/squeeze1x1`, 1, inside, squeeze);
    conv(`fire${i + 2}/expand1x1`, 1, squeeze, 4 * squeeze);
    conv(`fire${i + 2}/expand3x3`, 3, squeeze, 4 * squeeze);
    inside = 8 * squeeze;
  }
  const lin = new Map(
    linear.map((channels, tap) => [
      `squeeze/lin${tap}`,
      host(
        Float32Array.from({ length: channels }, () => stream.uniform()),
        [channels],
      ),
    ]),
  );
  return new Map([
    ["weights-squeezenet-1.1/squeezenet-1.1-notop.safetensors", network],
    ["weights-lpips-lin/lpips-lin-v0.1.safetensors", lin],
  ]);
}

const all = files();
const read = async (path: string) => all.get(path) ?? new Map<string, HostTensor>();

const device = await openCpu({ threads: 2 });
const pictures = (seed: number): Float32Array =>
  RandomStream.from(seed, "pictures").normals(2 * 3 * 32 * 32, 0.4);
const shape = [2, 3, 32, 32];
const specs = { a: float32("B", 3, 32, 32), b: float32("B", 3, 32, 32) };

async function measured(a: Float32Array, b: Float32Array) {
  const { weights, distance } = await openPerceptualLoss(read);
  const graph = trace(specs, (inputs) => {
    const result = distance(inputs.a, inputs.b);
    return { result, gradient: grad(result, [inputs.a])[0] as Tensor };
  });
  using program = await compile(graph, { device, weights });
  const { result, gradient } = await program.run({ a: floats(a, shape), b: floats(b, shape) });
  return { result: result.data[0] as number, gradient: gradient.data as Float32Array };
}

/** conv1 and fire2 to fire9 of pictures in [-1, 1]. */
async function layersOf(x: Float32Array) {
  const { weights } = await openPerceptualLoss(read);
  const network = new Map([...weights].filter(([name]) => !name.startsWith("squeeze/")));
  const graph = trace({ a: specs.a }, ({ a }) =>
    Object.fromEntries(squeezeNetLayers(mul(add(a, 1), 127.5)).map((layer, i) => [`layer${i}`, layer])),
  );
  using program = await compile(graph, { device, weights: network });
  const out = await program.run({ a: floats(x, shape) });
  return Array.from({ length: 9 }, (_, i) => out[`layer${i}`] as Value);
}

/** Equation 1 by hand, float64, for one layer. */
function layerDistance(
  { data: a, shape: [batch = 0, channels = 0, h = 0, w = 0] }: Value,
  { data: b }: Value,
  weight: Float32Array,
): number {
  let total = 0;
  const sites = h * w;
  for (let n = 0; n < batch; n++) {
    for (let site = 0; site < sites; site++) {
      const column = (from: Value["data"]) =>
        Array.from({ length: channels }, (_, c) => from[(n * channels + c) * sites + site] as number);
      const [u, v] = [column(a), column(b)];
      const [lengthU, lengthV] = [Math.hypot(...u), Math.hypot(...v)];
      total += u.reduce((sum, value, c) => {
        const difference = value / (lengthU || 1) - (v[c] as number) / (lengthV || 1);
        return sum + (weight[c] as number) * difference ** 2;
      }, 0);
    }
  }
  return total / (batch * sites);
}

describe("perceptual distance", () => {
  it("is the weighted squared difference of unit vectors at seven layers", async () => {
    const [a, b] = [pictures(1), pictures(2)];
    const [ours, theirs] = [await layersOf(a), await layersOf(b)];
    const { weights } = await openPerceptualLoss(read);
    const expected = [0, 2, 4, 5, 6, 7, 8]
      .map((layer, tap) => {
        const weight = weights.get(`squeeze/lin${tap}`)?.data as Float32Array;
        return layerDistance(ours[layer] as Value, theirs[layer] as Value, weight);
      })
      .reduce((x, y) => x + y);
    const { result } = await measured(a, b);
    expect(expected).toBeGreaterThan(0.05);
    expect(Math.abs(result - expected)).toBeLessThan(1e-4 * expected);
  });

  it("is zero for equal pictures and has a finite gradient everywhere", async () => {
    const same = await measured(pictures(1), pictures(1));
    expect(same.result).toBe(0);
    expect(same.gradient.every((value) => value === 0)).toBe(true);
    const far = await measured(new Float32Array(2 * 3 * 32 * 32), pictures(1));
    expect(far.gradient.every(Number.isFinite)).toBe(true);
    expect(far.gradient.some((value) => value !== 0)).toBe(true);
  });

  it("names what the files lack", async () => {
    await expect(openPerceptualLoss(async () => new Map())).rejects.toMatchObject({
      code: "CHECKPOINT_MISSING_TENSOR",
    });
  });
});
