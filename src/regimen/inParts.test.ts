import { expect, it } from "vitest";
import { floats } from "../runtime/values.ts";
import { meansInParts, picturesInParts } from "./inParts.ts";

it("takes two pictures of 256 px at a time, and loses none", async () => {
  const length = 3 * 256 * 256;
  const pictures = Float32Array.from({ length: 5 * length }, (_, i) => Math.floor(i / length));
  const taken: number[] = [];
  const out = await picturesInParts(pictures, 256, async ({ data, shape }) => {
    taken.push(shape[0] as number);
    return floats(
      Float32Array.from(data, (value) => value + 1),
      shape,
    );
  });
  expect(taken).toEqual([2, 2, 1]);
  expect([0, 1, 2, 3, 4].map((i) => out[(i + 1) * length - 1])).toEqual([1, 2, 3, 4, 5]);
});

it("gives means over all pictures, whatever the parts", async () => {
  const values = [1, 2, 3, 4, 10];
  const means = await meansInParts(5, 256, async (first, taken) => {
    const mean = values.slice(first, first + taken).reduce((a, b) => a + b, 0) / taken;
    return { loss: floats([mean], []), both: floats([mean, 2 * mean], [2]) };
  });
  expect(means.loss[0]).toBeCloseTo(4, 6);
  expect(means.both.map((value) => Math.round(value))).toEqual([4, 8]);
});
