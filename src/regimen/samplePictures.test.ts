/** Pictures go through a model a few at a time: none is lost or moved, each has a stream of its own. */
import { expect, it } from "vitest";
import { openCpu } from "../runtime/device.node.ts";
import { floats } from "../runtime/values.ts";
import { type PictureGenerator, samplePictures, scalesAtOnce } from "./samplePictures.ts";
import type { SampleEvent } from "./system.ts";

it("takes fewer of large pictures on a processor, not on a card", async () => {
  const device = await openCpu({ threads: 1 });
  expect([32, 64, 128, 256, 512].map((size) => scalesAtOnce(device, size))).toEqual([32, 32, 8, 2, 1]);
  expect(scalesAtOnce({ ...device, provider: "webgpu" }, 512)).toBe(32);
});

it.each([1, 2, 5, 32])("draws 5 pictures %i at once", async (atOnce) => {
  const sizes: number[] = [];
  const group = { index: 0, start: 0, size: 1 };
  const generator: PictureGenerator<typeof group, { group: typeof group; tokens: Int32Array }> = {
    ...{
      plan: { groups: [group], length: 1, groupOf: new Int32Array(1) },
      nullLabel: 9,
      imageSize: 1,
      atOnce,
    },
    async *generate(labels, streams) {
      sizes.push(labels.length);
      const tokens = Int32Array.from(
        labels,
        (label, i) => 100 * label + Math.floor(100 * (streams[i]?.uniform() ?? 0)),
      );
      yield { group, tokens };
    },
    decode: async ({ tokens }) => {
      const grey = Float32Array.from(
        { length: 3 * tokens.length },
        (_, i) => (tokens[Math.floor(i / 3)] as number) / 250 - 1,
      );
      return floats(grey, [tokens.length, 3, 1, 1]);
    },
  };
  const draw = async (own: number): Promise<SampleEvent | undefined> => {
    const request = { labels: [0, 1, undefined, 2, 1], seed: 3, options: {}, previews: false };
    let last: SampleEvent | undefined;
    for await (const event of samplePictures(request, { ...generator, atOnce: own })) last = event;
    return last;
  };
  const parts = await draw(atOnce);
  expect(sizes).toEqual({ 1: [1, 1, 1, 1, 1], 2: [2, 2, 1], 5: [5], 32: [5] }[atOnce]);
  const whole = await draw(32);
  expect(parts?.pixels).toEqual(whole?.pixels);
  expect(parts?.ids).toEqual(whole?.ids);
  expect(new Set(parts?.ids[0]).size).toBe(5);
});
