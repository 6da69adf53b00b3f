/** Requests that share a batch get what they would get alone; parts of a grid can be made on their own. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { load } from "./load.node.ts";
import type { Model } from "./model.ts";
import type { SampleEvent } from "./regimen/system.ts";
import type { SampleOptions } from "./sampleRecipe.ts";

let model: Model;
beforeAll(async () => {
  model = await load("synth-32");
});
afterAll(() => model[Symbol.dispose]());

async function last(events: AsyncIterable<SampleEvent>): Promise<SampleEvent> {
  let found: SampleEvent | undefined;
  for await (const event of events) found = event;
  if (found === undefined) throw new Error("no event");
  return found;
}

describe("requests in one batch", () => {
  it("do not depend on their neighbours", { timeout: 60_000 }, async () => {
    const requests: SampleOptions[] = [
      { class: 3, seed: 7, previews: true },
      { class: [1, 2], seed: 123456789 },
      { class: 3, seed: 8, first: 5 },
    ];
    const steps: (readonly SampleEvent[])[] = [];
    for await (const events of model.sampleTogether(requests)) steps.push(events);
    expect(steps).toHaveLength(6);
    for (const [i, request] of requests.entries()) {
      const alone = await last(model.sample({ ...request, previews: false }));
      const together = steps.at(-1)?.[i];
      expect(together?.pixels).toEqual(alone.pixels);
      expect(together?.ids).toEqual(alone.ids);
    }
  });

  it("are refused with different settings", async () => {
    const events = model.sampleTogether([{ seed: 1 }, { seed: 1, topK: 3 }]);
    await expect(events.next()).rejects.toMatchObject({ code: "SAMPLING_NOT_TOGETHER" });
  });
});

it("makes one picture of a grid alone", { timeout: 60_000 }, async () => {
  const grid = await last(model.sample({ count: 3, seed: 4 }));
  const alone = await last(model.sample({ count: 1, seed: 4, first: 2 }));
  expect(alone.pixels).toEqual(grid.pixels.slice(-alone.pixels.length));
  expect(model.recipe({ seed: 4, first: 2 })).toMatchObject({ first: 2, labels: [2] });
  expect(model.recipe({ seed: 4 })).not.toHaveProperty("first");
});
