/** Autoformer: the official size, and configurations that cannot be. */
import { expect, it } from "vitest";
import { autoCorrelation, ownLags } from "../../mixer/autoCorrelation.ts";
import { parameterCount, Scope } from "../../nn/scope.ts";
import { trace } from "../../runtime/trace.ts";
import { RandomStream } from "../../tensor/random.ts";
import { autoformerSchema } from "./config.ts";
import { Autoformer } from "./model.ts";
import { autoformerTraining, windowSpecs } from "./objective.ts";
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
  [{ embedDim: 3, numHeads: 4 }, "numHeads"],
  [{ window: 24 }, "window"],
  [{ labelLength: 97 }, "labelLength"],
  [{ outputs: 3 }, "outputs"],
  [{ factor: 0 }, "factor"],
  [{ embed: "timef" }, "embed"],
  [{ frequency: "15min" }, "frequency"],
  [{ frequency: "fortnight", embed: "learned" }, "frequency"],
])("refuses %j", (config, path) => {
  const result = autoformerSchema.safeParse(config);
  expect(result.error?.issues.map(({ path: at }) => at.join())).toContain(path);
});

it("heads need not divide the width, and one output is the sum over trends of all channels", async () => {
  const config = autoformerSchema.parse({
    ...{ contextLength: 12, labelLength: 4, predictionLength: 5, window: 3, factor: 1 },
    ...{ channels: 3, decoderChannels: 3, outputs: 1, embedDim: 10, numHeads: 4, feedForwardDim: 8 },
  });
  const scope = Scope.root();
  const model = new Autoformer(scope, config);
  const graph = trace(windowSpecs(model), (x) => ({ y: model.forecast(x, autoCorrelation(1, ownLags)) }));
  expect(scope.specs.get("encoder.attn_layers.0.attention.query_projection.weight")?.shape).toEqual([8, 10]);
  expect(scope.specs.get("encoder.attn_layers.0.attention.out_projection.weight")?.shape).toEqual([10, 8]);
  expect(graph.outputs.y?.shape.slice(1)).toEqual([5, 3]);
});

it("calendar tables: fixed ones are sines and not trained; windows without calendar ids are refused", () => {
  const config = autoformerSchema.parse({ embed: "fixed", frequency: "t", embedDim: 6, numHeads: 2 });
  const scope = Scope.root();
  const training = autoformerTraining(scope, new Autoformer(scope, config), autoCorrelation(1, ownLags));
  const name = "enc_embedding.temporal_embedding.minute_embed.emb.weight";
  const table = scope.specs.get(name)?.initial(RandomStream.from(1, "test"), [4, 6]) ?? [];
  const third = 2 * 10_000 ** (-2 / 6);
  expect(table[12]).toBeCloseTo(Math.sin(2), 6);
  expect(table[14]).toBeCloseTo(Math.sin(third), 6);
  expect(table[15]).toBeCloseTo(Math.cos(third), 6);
  expect(Object.keys(training.outputs).filter((output) => output.includes("temporal_embedding"))).toEqual([]);
  expect(() => autoformerTrainee(config)).toThrow(expect.objectContaining({ code: "CONFIG_BAD_VALUE" }));
});
