import { describe, expect, it } from "vitest";
import { openImageSet } from "../data/imageSets.node.ts";
import { initialise } from "../nn/scope.ts";
import { openCpu } from "../runtime/device.node.ts";
import { varSystem } from "../systems/var/system.ts";
import { RandomStream } from "../tensor/random.ts";
import type { Stage, StageContext } from "./system.ts";
import type { TokenCache } from "./tokenSet.ts";
import { trainStage } from "./trainStage.ts";

const device = await openCpu({ threads: 1 });
const stageRecipe = { steps: 3, batchSize: 4, warmup: 1, tokenImages: 40 };
const { recipe } = varSystem.recipes.smoke as { recipe: { train: object } };
const tiny = { ...recipe, train: { ...recipe.train, transformer: stageRecipe } };
const stage = () => varSystem.stages(tiny).at(-1) as Stage; // the transformer's
const set = await openImageSet("synth", { size: 32, split: "train" });
const earlier = initialise(
  varSystem.parameters(varSystem.describe(tiny, set)),
  RandomStream.from(5, "weights"),
);

async function run(over: Partial<StageContext> = {}) {
  const looks: number[] = [];
  const context: StageContext = {
    ...{ device, seed: 3, earlier },
    data: (split) => openImageSet("synth", { size: 32, split }),
    readWeights: async () => new Map(),
    onProgress: (_, done) => looks.push(done),
    ...over,
  };
  const losses: number[] = [];
  const steps = trainStage(stage(), context);
  let next = await steps.next();
  for (; !next.done; next = await steps.next()) losses.push(next.value.report.loss);
  return { losses, weights: next.value, tokenised: looks.at(-1) ?? 0 };
}

describe("trainStage", () => {
  it("goes on from earlier weights, and returns all with only the stage's own changed", async () => {
    const { losses, weights } = await run();
    expect(losses).toHaveLength(3);
    expect([...weights.keys()].sort()).toEqual([...earlier.keys()].sort());
    const changed = [...weights].filter(
      ([name, { data }]) => String(data) !== String(earlier.get(name)?.data),
    );
    expect(new Set(changed.map(([name]) => name.slice(0, 4)))).toEqual(new Set(["var."]));
  });

  it("gives the same with tokens of an earlier run, and does not tokenise twice", async () => {
    const tokens: TokenCache = new Map();
    const first = await run({ tokens });
    const second = await run({ tokens });
    expect([first.tokenised, second.tokenised]).toEqual([40, 0]);
    expect(second.losses).toEqual(first.losses);
    expect((await run()).losses).toEqual(first.losses);
    expect((await run({ tokens, seed: 4 })).losses).not.toEqual(first.losses);
  });

  it("stops between steps", async () => {
    await expect(run({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
  });
});
