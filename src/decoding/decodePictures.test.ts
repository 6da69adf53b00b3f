/** Pictures in pieces are those of one run. */
import { expect, it } from "vitest";
import { openCpu } from "../runtime/device.node.ts";
import { trace } from "../runtime/trace.ts";
import { floats } from "../runtime/values.ts";
import { mul } from "../tensor/ops/elementwise.ts";
import { broadcastTo, reshape } from "../tensor/ops/structure.ts";
import { float32 } from "../tensor/tensor.ts";
import { decodePictures } from "./decodePictures.ts";
import { ProgramStore } from "./programStore.ts";

it.each([1, 2, 5])("%i pictures of 256 px, two per run, none lost or moved", async (count) => {
  const device = await openCpu({ threads: 1 });
  const runs: number[] = [];
  const counting: typeof device = {
    ...device,
    createSession: async (model, options) => {
      const session = await device.createSession(model, options);
      return {
        run: (feeds, outputs) => {
          runs.push(feeds.get("features")?.shape[0] ?? 0);
          return session.run(feeds, outputs);
        },
        [Symbol.dispose]: () => session[Symbol.dispose](),
      };
    },
  };
  using programs = new ProgramStore(new Map(), counting);
  const graph = () =>
    trace({ features: float32("B", 3) }, ({ features }) => ({
      images: broadcastTo(mul(reshape(features, [features.shape[0] ?? 1, 3, 1, 1]), 2), [
        features.shape[0] ?? 1,
        3,
        256,
        256,
      ]),
    }));
  const features = floats(
    Array.from({ length: 3 * count }, (_, i) => i),
    [count, 3],
  );
  const { data, shape } = await decodePictures(programs, graph, ["features", features], 256);
  expect(shape).toEqual([count, 3, 256, 256]);
  for (let i = 0; i < 3 * count; i++) {
    expect(data[i * 256 * 256]).toBe(2 * i);
    expect(data[(i + 1) * 256 * 256 - 1]).toBe(2 * i);
  }
  expect(runs).toEqual({ 1: [1], 2: [2], 5: [2, 2, 1] }[count]);
});
