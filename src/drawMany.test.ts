import { expect, it } from "vitest";
import { drawMany } from "./drawMany.ts";
import { load } from "./load.node.ts";

it("gives the pictures of one request, and says how far it is", async () => {
  using model = await load("synth-32");
  const labels = Int32Array.from({ length: 34 }, (_, i) => i % 5);
  const said: string[] = [];
  const many = await drawMany(model, {
    labels,
    seed: 3,
    partSize: 32,
    onProgress: (text) => said.push(text),
  });
  expect(said).toEqual(["sampling: 0 of 34 pictures", "sampling: 32 of 34 pictures"]);
  for await (const { pixels, ids } of model.sample({ class: [...labels], count: 34, seed: 3 })) {
    expect(many.pixels).toEqual(pixels);
    expect(many.ids).toEqual(ids);
  }
});
