/** Arms that choose a method's guidance, and arms that judge its samples. */
import { decodeModel, type ModelFile } from "../../../formats/modelFile.ts";
import type { LabelledPictures } from "../../evaluatePictures.ts";
import type { FeatureSet } from "../../featureSet.ts";
import type { Pictures } from "../../features/types.ts";
import { frechetDistance, frechetEstimate } from "../../frechet.ts";
import { ruleValidity } from "../../metrics.ts";
import type { Arm, ArmContext, Recomputed } from "../arms.node.ts";
import { numbersOf, type Rows } from "../claim.ts";
import { leastProduct } from "../guidance.ts";
import { armNames, claimedMethod, definitionOf, type RefinementBench } from "./setting.ts";

/** Guidance weights that every method may choose from. */
export const guidanceGrid = [0, 0.5, 1, 1.5, 2.5] as const;
/** Samples that choose guidance. They share no noise with those that are judged. */
export const guidanceSamples = 2_000;
/** Seeds of samples. */
export const noise = { guidance: 7_001, judging: 9_001 } as const;

/** The base with what an arm's file changed. */
export function wholeModel(base: ModelFile, moved: Uint8Array): ModelFile {
  const { description, weights } = decodeModel(moved);
  return { description, weights: new Map([...base.weights, ...weights]) };
}

interface SampleOptions {
  readonly count: number;
  readonly seed: number;
  /** Values of the system's sampling schema. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly signal: AbortSignal | undefined;
}

/** Pictures of a model with the classes of the first `count` held-out ones, always from the same noise. */
export async function samplesOf(
  bench: RefinementBench,
  model: ModelFile,
  { count, seed, options, signal }: SampleOptions,
): Promise<LabelledPictures> {
  const { system, device, onProgress } = bench.setting;
  const { pictures } = await bench.real();
  const labels = pictures.labels.subarray(0, count);
  using opened = await system.open(model.description, model.weights, device);
  onProgress?.(`sampling ${labels.length} pictures, ${JSON.stringify(options)}`);
  const request = {
    labels: [...labels],
    seed,
    options,
    previews: false,
    ...(signal && { signal }),
  };
  let pixels = new Uint8Array(0);
  for await (const event of opened.sample(request)) pixels = Uint8Array.from(event.pixels);
  return { pixels, labels, count: labels.length, size: pictures.size };
}

/** Features of samples under each extractor, beside those of the held-out pictures. */
async function comparisons(bench: RefinementBench, samples: Pictures, signal: AbortSignal | undefined) {
  const { extractors, features } = await bench.real();
  const pairs: { real: FeatureSet; generated: FeatureSet }[] = [];
  for (const [i, extractor] of extractors.entries())
    pairs.push({ real: features[i] as FeatureSet, generated: await extractor.features(samples, signal) }); // one each
  return pairs;
}

/** How a method's guidance follows from its distances. */
const guidanceRule = "least product of the distances under all networks";

/** The guidance weight of a method. Errors: CLAIM_MISSING_ARM. */
export function chosenGuidance(rows: Rows, set: string, method: string): number {
  const arm = armNames.guidance(set, method);
  const names = Object.keys(rows.get(arm)?.numbers ?? {}).filter((name) => name.startsWith("distance"));
  const tables = (names.length > 0 ? names : ["distance0"]).map((name) => numbersOf(rows, arm, name));
  return leastProduct(guidanceGrid, tables);
}

/** Distances of a method's first seed at every guidance weight. */
export function guidanceArm(bench: RefinementBench, method: string): Arm {
  const { setting } = bench;
  const { set, methods, seeds } = setting;
  const [first = 1] = seeds;
  /** Distances of the trained model's samples under every network, by guidance weight. */
  const opened = async ({ model, signal }: ArmContext) => {
    const file = wholeModel(setting.base, await model(armNames.training(set, method, first)));
    return async (cfgScale: number) => {
      const sampling = { count: guidanceSamples, seed: noise.guidance, options: { cfgScale }, signal };
      const samples = await samplesOf(bench, file, sampling);
      const pairs = await comparisons(bench, samples, signal);
      return pairs.map(({ real, generated }) => frechetDistance(real, generated).distance);
    };
  };
  const named = (tables: readonly number[][]) =>
    Object.fromEntries(tables.map((distances, i) => [`distance${i}`, distances]));
  return {
    name: armNames.guidance(set, method),
    isSlowToCheck: method !== claimedMethod(setting),
    definition: definitionOf(setting, {
      methods: [methods[claimedMethod(setting)], methods[method]],
      ...{ first, guidanceGrid, guidanceSamples, noise: noise.guidance },
    }),
    run: async (context) => {
      const distances = await opened(context);
      const tables: number[][] = [];
      for (const cfgScale of guidanceGrid) {
        for (const [i, distance] of (await distances(cfgScale)).entries()) {
          tables[i] ??= [];
          tables[i].push(distance);
        }
      }
      return { numbers: named(tables) };
    },
    // At the weight that the judged samples have; the other columns are taken over from the row.
    recompute: async (context) => {
      const chosen = chosenGuidance(context.rows, set, method);
      const fresh = await (await opened(context))(chosen);
      const tables = fresh.map((distance, i) =>
        numbersOf(context.rows, armNames.guidance(set, method), `distance${i}`).map((known, column) =>
          guidanceGrid[column] === chosen ? distance : known,
        ),
      );
      return { numbers: named(tables), tolerance: 0.02 };
    },
  };
}

/** Distances, validity and dynamics of one trained model (or of the base): with its method's guidance, and without. */
export function judgingArm(bench: RefinementBench, method: string, seed: number): Arm {
  const { setting } = bench;
  const { set, methods } = setting;
  return {
    name: armNames.judging(set, method, seed),
    isSlowToCheck: seed !== setting.seeds[0],
    definition: definitionOf(setting, {
      methods: [methods[claimedMethod(setting)], methods[method]],
      ...{ seed, guidanceGrid, guidanceRule, guidanceSamples, noise },
    }),
    run: async ({ rows, model, signal }) => {
      const file = wholeModel(setting.base, await model(armNames.training(set, method, seed)));
      const chosen = chosenGuidance(rows, set, method);
      return { numbers: await judged(bench, file, chosen, signal) };
    },
    recompute: async ({ model, signal }) =>
      knownAgain(bench, wholeModel(setting.base, await model(armNames.training(set, method, seed))), signal),
  };
}

/** What a check computes again: everything over all tokens but the distances of 10,000 samples, which take as long as the arm. */
async function knownAgain(
  bench: RefinementBench,
  model: ModelFile,
  signal: AbortSignal | undefined,
): Promise<Recomputed> {
  const all = Object.entries(await dynamicsNumbers(bench, model, signal));
  return {
    numbers: Object.fromEntries(all.filter(([, value]) => typeof value === "number")),
    tolerance: 0.002, // drawn pasts flip where processors round apart
  };
}

/** The base itself, at the guidance of the claimed method. */
export function baseArm(bench: RefinementBench): Arm {
  const { setting } = bench;
  const claimed = claimedMethod(setting);
  return {
    name: armNames.base(setting.set),
    definition: definitionOf(setting, {
      method: setting.methods[claimed],
      guidanceGrid,
      guidanceRule,
      guidanceSamples,
      noise,
    }),
    run: async ({ rows, signal }) => {
      const chosen = chosenGuidance(rows, setting.set, claimed);
      return { numbers: await judged(bench, setting.base, chosen, signal) };
    },
    recompute: ({ signal }) => knownAgain(bench, setting.base, signal),
  };
}

async function judged(
  bench: RefinementBench,
  model: ModelFile,
  chosen: number,
  signal: AbortSignal | undefined,
): Promise<Record<string, number | number[]>> {
  return {
    guidance: chosen,
    ...(await dynamicsNumbers(bench, model, signal)),
    ...(await sampleNumbers(bench, model, {
      count: bench.setting.samples,
      seed: noise.judging,
      guided: chosen,
      signal,
    })),
  };
}

/** What a model knows on the true past, after one step of its own, and running freely. */
export async function dynamicsNumbers(
  bench: RefinementBench,
  model: ModelFile,
  signal: AbortSignal | undefined,
): Promise<Record<string, number | number[]>> {
  const { truePast, oneStep, freeRunning } = await bench.dynamics(model, signal);
  return {
    heldOutLoss: truePast.loss.overall,
    heldOutScaleLoss: [...truePast.loss.scales],
    oneStepDisagreement: 1 - oneStep.agreement.overall,
    oneStepDivergence: oneStep.divergence.overall,
    oneStepScaleAgreement: [...oneStep.agreement.scales],
    freeDisagreement: 1 - freeRunning.agreement.overall,
    freeDivergence: freeRunning.divergence.overall,
    freeScaleAgreement: [...freeRunning.agreement.scales],
  };
}

interface Judging {
  readonly count: number;
  readonly seed: number;
  /** Guidance weight of the guided samples; others are drawn without. */
  readonly guided: number;
  readonly signal: AbortSignal | undefined;
}

/** Distances and validity of guided samples, and of others from the same noise without guidance. */
export async function sampleNumbers(
  bench: RefinementBench,
  model: ModelFile,
  { count, seed, guided, signal }: Judging,
): Promise<Record<string, number>> {
  const test = await bench.setting.openData("test");
  const numbers: Record<string, number> = {};
  for (const [suffix, cfgScale] of [
    ["", guided],
    ["Unguided", 0],
  ] as const) {
    const samples = await samplesOf(bench, model, { count, seed, options: { cfgScale }, signal });
    for (const [i, { real, generated }] of (await comparisons(bench, samples, signal)).entries()) {
      const { distance, standardError, bias } = frechetEstimate(real, generated);
      numbers[`distance${i}${suffix}`] = distance;
      numbers[`standardError${i}${suffix}`] = standardError;
      numbers[`bias${i}${suffix}`] = bias;
    }
    const validity = ruleValidity(test, samples.pixels, samples.labels);
    if (validity) numbers[`validity${suffix}`] = validity.rate;
  }
  return numbers;
}
