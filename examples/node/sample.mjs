/**
 * Pictures from a program in Node, after `npm install nextx onnxruntime-node`:
 *   node sample.mjs
 * Every scale is told as it comes; the file carries its recipe, from which the same bytes can be made again.
 */
import { writeFile } from "node:fs/promises";
import { load, reproducePicture, samplePicture } from "nextx";

const model = await load("sar-synth-32");
try {
  const stop = AbortSignal.timeout(60_000); // a step is the longest that it goes on
  for await (const { done, total, pixels } of model.sample({
    class: "warm star",
    seed: 7,
    previews: true,
    signal: stop,
  }))
    console.log(`scale ${done} of ${total}: ${pixels.length} bytes RGB`);

  const { png, recipe } = await samplePicture(model, { class: "warm star", seed: 7, count: 4 });
  await writeFile("stars.png", png);
  console.log(`stars.png: ${recipe.labels.length} pictures by ${recipe.model}`);

  const again = await reproducePicture(png);
  console.log(Buffer.compare(again.png, png) === 0 ? "reproduced, byte by byte" : "other bytes");
} finally {
  model[Symbol.dispose]();
}
