/** Autoformer: the official size, and configurations that cannot be. */
import { expect, it } from "vitest";
import { parameterCount } from "../../nn/scope.ts";
import { autoformerSchema } from "./config.ts";
import { autoformerTrainee, smallAutoformer } from "./trainee.ts";

it("the official model has about ten million parameters, under the official names", () => {
  const { parameters } = autoformerTrainee(autoformerSchema.parse({}));
  // embeddings, 2 encoder layers, 1 decoder layer, norms, output
  const attention = 4 * (512 * 512 + 512);
  const feedForward = 2 * 512 * 2048;
  const [embeddings, ends] = [2 * (512 * 7 * 3 + 512 * 4), 2 * 1024 + 512 * 7 + 7];
  expect(parameterCount(parameters)).toBe(
    embeddings + 2 * (attention + feedForward) + (2 * attention + feedForward + 7 * 512 * 3) + ends,
  );
  expect(parameters.get("decoder.layers.0.projection.weight")?.shape).toEqual([7, 512, 3]);
});

it("the small model trains in minutes: about 30,000 parameters", () => {
  const shape = { contextLength: 96, predictionLength: 96, channels: 7, frequency: "h" } as const;
  const count = parameterCount(autoformerTrainee(smallAutoformer(shape)).parameters);
  expect(count).toBeGreaterThan(20_000);
  expect(count).toBeLessThan(40_000);
});

it.each([
  [{ embedDim: 30, numHeads: 4 }, "numHeads"],
  [{ window: 24 }, "window"],
  [{ labelLength: 97 }, "labelLength"],
  [{ outputs: 3 }, "outputs"],
  [{ factor: 0 }, "factor"],
])("refuses %j", (config, path) => {
  const result = autoformerSchema.safeParse(config);
  expect(result.error?.issues.map(({ path: at }) => at.join())).toContain(path);
});
