import { describe, expect, it } from "vitest";
import { toSevenBits } from "../tensor/lowBits.ts";
import { conv2dBias } from "../tensor/ops/linear.ts";
import { RandomStream } from "../tensor/random.ts";
import { float32, input } from "../tensor/tensor.ts";
import { openCpu } from "./device.node.ts";
import { LayerObserver, type ObservedLayer } from "./observe.ts";
import { compile } from "./program.ts";
import { QuantisedValue } from "./quantised.ts";
import { type QuantiseScheme, quantised } from "./quantisePlan.ts";
import { trace } from "./trace.ts";
import { floats, type Value } from "./values.ts";

const device = await openCpu({ threads: 1 });
const random = RandomStream.from(4, "quantise plan");
const scheme: QuantiseScheme = { kind: "int8", bits: 8, convolutions: true, keep: [] };
const graph = trace({ map: float32(1, 3, 4, 4) }, ({ map }) => ({
  y: conv2dBias(map, input("k", float32(2, 3, 1, 1)), input("c", float32(2))),
}));

/** What is seen of the convolution while it computes. */
async function observed(weights: ReadonlyMap<string, Value>, map: Value): Promise<ObservedLayer> {
  const observer = new LayerObserver({ ranges: true });
  using program = await compile(graph, { device: observer.watch(device), weights });
  await program.run({ map });
  return observer.layers.get("k") as ObservedLayer;
}

describe("a calibrated convolution", () => {
  const map = floats(random.normals(48, 1), [1, 3, 4, 4]);
  const kernel = random.normals(6, 1).map((v, i) => (i < 3 ? v : v * 1e-12)); // the second channel is as good as dead
  const weights = new Map<string, Value>([
    ["k", floats(kernel, [2, 3, 1, 1])],
    ["c", floats([0.5, 3], [2])],
  ]);
  const bias = weights.get("c") as Value;

  it("keeps the bias of a channel whose steps are too small for it", async () => {
    const layer = await observed(weights, map);
    expect(layer.biases).toEqual(new Set(["c"]));
    const value = quantised(layer, weights.get("k") as Value, scheme, [bias]);
    using program = await compile(graph, { device, weights: new Map([...weights, ["k", value]]) });
    const { y } = await program.run({ map });
    const step = value.ranges?.output.scale as number;
    for (const v of y.data.slice(16)) expect(Math.abs(v - 3)).toBeLessThan(step);
    using exact = await compile(graph, { device, weights });
    const { y: expected } = await exact.run({ map });
    for (let i = 0; i < 16; i++) {
      expect(Math.abs((y.data[i] as number) - (expected.data[i] as number))).toBeLessThan(3 * step);
    }
  });

  it("keeps it in seven bits, too, and where all that went in was 0", async () => {
    const layer = await observed(weights, floats(new Float32Array(48), [1, 3, 4, 4]));
    const value = quantised(layer, weights.get("k") as Value, scheme, [bias]);
    const { weight } = value;
    if (weight.kind !== "int8") throw new Error("int8 was asked for");
    const held = new QuantisedValue(toSevenBits(weight), value.ranges);
    using program = await compile(graph, { device, weights: new Map([...weights, ["k", held]]) });
    const { y } = await program.run({ map: floats(new Float32Array(48), [1, 3, 4, 4]) });
    expect(y.data[0]).toBeCloseTo(0.5, 1);
    expect(y.data[16]).toBeCloseTo(3, 1);
  });

  it("is refused when what went through it was not finite", async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const layer = await observed(weights, floats([bad, ...map.data.slice(1)], [1, 3, 4, 4]));
      expect(() => quantised(layer, weights.get("k") as Value, scheme, [bias])).toThrow(
        expect.objectContaining({ code: "QUANTIZE_NOT_FINITE" }),
      );
    }
  });
});
