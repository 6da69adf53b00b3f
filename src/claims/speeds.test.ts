import { expect, it } from "vitest";
import { blockCausal } from "../context/blockCausal.ts";
import { ownGroup } from "../context/ownGroup.ts";
import { openCpu } from "../runtime/device.node.ts";
import { attentionPairs, hmarSpeedArm } from "./hmar/speed.ts";
import { narSpeedArm } from "./nar/speed.ts";

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

it("pairs of the official schedule", () => {
  const sides = [1, 2, 3, 4, 5, 6, 8, 10, 13, 16];
  expect(attentionPairs(sides, ownGroup)).toBe(110_468);
  expect(attentionPairs(sides, blockCausal)).toBe(286_434);
});
