import { expect, it } from "vitest";
import { blockCausal } from "../context/blockCausal.ts";
import { ownGroup } from "../context/ownGroup.ts";
import { openCpu } from "../runtime/device.node.ts";
import { compile } from "../runtime/program.ts";
import { floats } from "../runtime/values.ts";
import { RandomStream } from "../tensor/random.ts";
import { attentionArm, attentionGraph } from "./hmar/attention.ts";
import { attentionPairs, hmarSpeedArm } from "./hmar/speed.ts";
import { narSpeedArm } from "./nar/speed.ts";
import { xarClaimOptions } from "./xar/claim.ts";
import { xarSpeedArm } from "./xar/speed.ts";

const context = { rows: new Map(), model: async () => new Uint8Array(0) };

it("NAR's contest counts passes and takes times", async () => {
  const device = await openCpu({ threads: 1 });
  const arm = narSpeedArm(3, { batches: [1, 2], repeats: 1, layers: 2 }, device);
  const { numbers } = await arm.run(context);
  expect(numbers).toMatchObject({ "nar:passes": 5, "raster:passes": 9 });
  expect(numbers["nar:ms"]).toHaveLength(2);
  expect(numbers["nar:multiplyAdds"]).toBeGreaterThan(0);
  const again = await arm.recompute?.(context);
  expect(numbers).toMatchObject(again?.numbers ?? { missing: 1 });
}, 120_000);

it("HMAR's contest counts passes, pairs and the cache it does without", async () => {
  const device = await openCpu({ threads: 1 });
  const arm = hmarSpeedArm({ patchNums: [1, 2, 3], width: 16, batches: [1], repeats: 1 }, device);
  const { numbers } = await arm.run(context);
  expect(numbers).toMatchObject({ "hmar:passes": 3, "var:passes": 3, "hmar:cacheBytes": 0 });
  expect(numbers["hmar:pairs"]).toBe(1 + 16 + 81);
  expect(numbers["var:pairs"]).toBe(1 + 4 * 5 + 9 * 14);
  expect(numbers["var:cacheBytes"]).toBeGreaterThan(0);
}, 120_000);

it("xAR's contest counts the passes of its solver", async () => {
  const device = await openCpu({ threads: 1 });
  const entities = { ...xarClaimOptions, embedDim: 16, numHeads: 2, depth: 1, steps: 2, seed: 1 };
  const { numbers } = await xarSpeedArm(entities, { batches: [1], repeats: 1 }, device).run(context);
  expect(numbers).toMatchObject({ "xar:passes": 4 * 2, "token:passes": 64 * 2 });
}, 120_000);

it("attention alone takes less memory where a scale sees itself only", async () => {
  const device = await openCpu({ threads: 1 });
  const options = { patchNums: [1, 2, 3], width: 8, numHeads: 2, batches: [1, 2], repeats: 1 };
  const { numbers } = await attentionArm(options, device).run(context);
  expect(numbers["hmar:ms"]).toHaveLength(2);
  expect(numbers["var:ms"]).toHaveLength(2);
  const [ours, theirs] = [numbers["hmar:bytes"], numbers["var:bytes"]] as [number[], number[]];
  for (const [i, bytes] of ours.entries()) expect(bytes).toBeLessThan(theirs[i] ?? 0);
}, 120_000);

it("attention over past scales is that of a scale alone where there are none", async () => {
  const device = await openCpu({ threads: 1 });
  const stream = RandomStream.from(1, "test");
  const [heads, width, sizes] = [2, 4, [1, 4]] as const;
  const fed = (sites: number) => floats(stream.normals(heads * sites * width), [1, heads, sites, width]);
  using cached = await compile(attentionGraph(heads, width, true), { device });
  using alone = await compile(attentionGraph(heads, width, false), { device });
  const [past, now] = sizes.map((sites) => ({ query: fed(sites), key: fed(sites), value: fed(sites) }));
  if (!past || !now) throw new Error("two groups");
  const { mixed, keys } = await cached.run({ ...now, pastKey: past.key, pastValue: past.value });
  expect(keys?.shape).toEqual([1, heads, 5, width]);
  const own = await alone.run(now);
  expect(own.mixed?.shape).toEqual(mixed?.shape);
  expect(own.mixed?.data).not.toEqual(mixed?.data);
  const empty = fed(0);
  const first = await cached.run({ ...now, pastKey: empty, pastValue: empty });
  expect(first.mixed?.data).toEqual(own.mixed?.data);
}, 120_000);

it("pairs of the official schedule", () => {
  const sides = [1, 2, 3, 4, 5, 6, 8, 10, 13, 16];
  expect(attentionPairs(sides, ownGroup)).toBe(110_468);
  expect(attentionPairs(sides, blockCausal)).toBe(286_434);
});
