/**
 * HMAR's claim: predicting the next scale from the picture so far alone needs no cache and less attention, and with weighted
 * scales and masked refinement its pictures are no worse than VAR's. Source: arXiv 2506.04421, tables 1 and 4 (d16: 3.50 VAR,
 * 3.76 Markov, 3.42 weighted, 3.01 refined).
 */

import type { ArmContext } from "../../evaluate/claim/arms.node.ts";
import {
  type Claim,
  type ClaimFactory,
  type ClaimMeasure,
  numberOf,
  numbersOf,
  type Rows,
} from "../../evaluate/claim/claim.ts";
import type { ResultFigure } from "../../evaluate/claim/result.ts";
import type { Target } from "../../evaluate/claim/target.ts";
import { decodeModel } from "../../formats/modelFile.ts";
import type { Weights } from "../../nn/scope.ts";
import { publishedSides } from "../../plan/publishedSides.ts";
import { scalePlan } from "../../plan/scales.ts";
import { tokenizerPrefix } from "../../regimen/multiScaleModel.ts";
import { withPrefix } from "../../regimen/multiScaleStages.ts";
import type { Device } from "../../runtime/device.ts";
import { buildHmar } from "../../systems/hmar/build.ts";
import type { HmarModelConfig } from "../../systems/hmar/config.ts";
import { HmarGenerator } from "../../systems/hmar/generate.ts";
import { defaultSchedule } from "../../systems/hmar/refineSchedule.ts";
import { contestArms } from "../contest/arms.ts";
import { distanceMeasures, ruleMeasures } from "../contest/measures.ts";
import { type ContestOptions, contestNames } from "../contest/side.ts";
import { inpaintingArm, inpaintingMeasures, type Painter } from "../inpainting.ts";
import { attentionArm, attentionName } from "./attention.ts";
import { type LadderOptions, ladder, sideNames } from "./sides.ts";
import {
  type HmarSpeedOptions,
  hmarSpeedArm,
  hmarSpeedName,
  schedulesArm,
  schedulesName,
  speedConfig,
} from "./speed.ts";

export interface HmarClaimOptions extends Omit<LadderOptions, "seed"> {
  readonly contest: Omit<ContestOptions, "set" | "size">;
  readonly inpainting: { readonly pictures: number; readonly seeds: readonly number[] };
  /** Widths of the blocks, and the schedules whose times are measured, shortest first. */
  readonly speed: Pick<HmarSpeedOptions, "batches" | "repeats"> & {
    readonly schedules: readonly (readonly number[])[];
    readonly widths: readonly number[];
  };
}

export const hmarClaimOptions: HmarClaimOptions = {
  model: "synth-32",
  transformer: { depth: 6, embedDim: 64, numHeads: 4 },
  tailLayers: 3,
  nextScaleSteps: 1200,
  maskedSteps: 600,
  batchSize: 64,
  tokenImages: 20_480,
  schedules: {
    "plus-8": "1/1,3/1,1,2,5/2,4,10/6,10,20/64",
    "plus-16": "1/1,3/1,1,2,5/1,2,4,9/2,4,6,10,14/4,6,8,10,14,22",
  },
  contest: {
    seeds: [1, 2, 3],
    samples: 5_000,
    guidanceGrid: [0, 0.75, 1.5],
    guidanceSamples: 1_000,
    guidanceBy: "product",
  },
  inpainting: { pictures: 256, seeds: [1, 2, 3] },
  speed: {
    schedules: [[1, 2, 3, 4, 6, 8], publishedSides[256]],
    widths: [64, 128, 256],
    ...{ batches: [1, 8], repeats: 5 },
  },
};

const ratio = (bounds: { readonly atMost?: number; readonly atLeast?: number }): Target[] => [
  { quantity: "ratio", over: "every", ...bounds },
];

/** Names of the arms that take times, schedule by schedule. */
const speedNames = ({ speed: { schedules, widths } }: HmarClaimOptions): string[][] =>
  schedules.map((patchNums) => widths.map((width) => hmarSpeedName({ patchNums, width })));

function speedMeasures(options: HmarClaimOptions): ClaimMeasure[] {
  const { speed } = options;
  const names = speedNames(options);
  const [all, longest] = [names.flat(), names.at(-1) ?? []];
  const at = (rows: Rows, arms: readonly string[], name: string) =>
    arms.map((arm) => numberOf(rows, arm, name));
  const counted = (name: string, number: string, atMost: number, arms: readonly string[]): ClaimMeasure => ({
    ...{ name, unit: number === "pairs" ? "pairs" : "bytes", better: "lower", headline: true },
    ...{ arms, baselineName: "VAR, cached", target: ratio({ atMost }) },
    numbers: (rows) => ({
      system: at(rows, arms, `hmar:${number}`),
      baseline: at(rows, arms, `var:${number}`),
    }),
  });
  const times = (
    name: string,
    arms: readonly string[],
    batch: number,
    atMost: number,
    headline: boolean,
  ): ClaimMeasure => {
    const read = (rows: Rows, side: string) =>
      arms.map((arm) => numbersOf(rows, arm, `${side}:ms`)[speed.batches.indexOf(batch)] ?? Number.NaN);
    return {
      ...{ name, unit: "ms", better: "lower", headline, arms, baselineName: "VAR, cached" },
      target: ratio({ atMost }),
      numbers: (rows) => ({ system: read(rows, "hmar"), baseline: read(rows, "var") }),
    };
  };
  const [one = 1, many = one] = [speed.batches[0], speed.batches.at(-1)];
  const widths = speed.widths.join(", ");
  /** Time of VAR over time of HMAR on the longest schedule, beside the same on the shortest. */
  const growth: ClaimMeasure = {
    ...{
      name: `VAR's time over HMAR's at ${many} images, longest schedule against shortest, widths ${widths}`,
    },
    ...{ unit: "", better: "higher", headline: true, arms: all, baselineName: "shortest schedule" },
    target: ratio({ atLeast: 1 }),
    numbers: (rows) => {
      const gain = (arms: readonly string[]) =>
        arms.map((arm) => {
          const [theirs, ours] = ["var", "hmar"].map(
            (side) => numbersOf(rows, arm, `${side}:ms`).at(-1) ?? Number.NaN,
          );
          return (theirs as number) / (ours as number);
        });
      return { system: gain(longest), baseline: gain(names[0] ?? []) };
    },
  };
  return [
    counted("query-key pairs of one head, all schedules and widths", "pairs", 0.8, all),
    counted(
      `bytes alive in the pass over the last scale, 32 images, longest schedule, widths ${widths}`,
      "peakBytes",
      1 / 3,
      longest,
    ),
    growth,
    times(
      `transformer time of ${many} images, longest schedule, widths ${widths}`,
      longest,
      many,
      1 / 1.5,
      true,
    ),
    times(`transformer time of ${one} image, longest schedule, widths ${widths}`, longest, one, 1, false),
    times(
      `transformer time of ${many} images, shortest schedule, widths ${widths}`,
      names[0] ?? [],
      many,
      1,
      false,
    ),
  ];
}

function qualityMeasures(
  { contest, schedules }: HmarClaimOptions,
  networks: readonly string[],
): ClaimMeasure[] {
  const { seeds } = contest;
  const first = seeds.slice(0, 1);
  const against = (baseline: string, baselineName: string) => ({
    system: sideNames.hmar,
    baseline,
    baselineName,
    seeds,
  });
  const scales = {
    system: sideNames.markov,
    baseline: sideNames.plain,
    baselineName: "all tokens alike",
    seeds: first,
  };
  const unguided = { name: "Fréchet distance", atMost: 0, headline: true };
  const versusVar = against(sideNames.var, "VAR, equal multiply-adds");
  return [
    ...distanceMeasures(versusVar, networks, unguided),
    ...ruleMeasures(versusVar),
    ...distanceMeasures(against(sideNames.markov, "the same weights without refinement"), networks, {
      ...{ name: "Fréchet distance with refinement", atMost: -0.03, headline: true },
    }),
    ...distanceMeasures(scales, networks, {
      ...{ name: "Fréchet distance with weighted scales, one seed", atMost: 0, headline: true },
    }),
    ...Object.keys(schedules).flatMap((name) =>
      distanceMeasures(
        {
          ...{ system: sideNames.schedule(name), baseline: sideNames.hmar, seeds: first },
          baselineName: "default schedule, same weights",
        },
        networks,
        { name: `Fréchet distance of schedule ${name}, one seed`, atMost: 0.2, headline: false },
      ).filter((_, i) => i % 2 === 0),
    ),
  ];
}

/** HMAR with the default schedule over trained networks, first weights first. */
function painterOf(config: HmarModelConfig, weights: Weights, device: Device): Painter {
  const networks = buildHmar(config);
  const { tokenizer } = networks;
  const schedule = defaultSchedule(tokenizer.plan);
  const generator = new HmarGenerator(networks, weights, device);
  return {
    ...{ tokenizer, weights },
    generator: {
      generate: (labels, options, streams) => generator.generate(labels, { ...options, schedule }, streams),
      [Symbol.dispose]: () => generator[Symbol.dispose](),
    },
  };
}

/** Attention alone beside VAR's: the part that seeing less shortens. */
function attentionMeasures({ speed }: HmarClaimOptions): ClaimMeasure[] {
  const widths = speed.widths.join(", ");
  return speed.schedules.flatMap((patchNums) => {
    const arms = speed.widths.map((width) => attentionName({ patchNums, width }));
    const tokens = scalePlan(patchNums).length;
    return [["time", "ms", "ms"] as const, ["bytes alive in the last pass", "bytes", "bytes"] as const].map(
      ([what, unit, number]): ClaimMeasure => {
        const read = (rows: Rows, side: string) =>
          arms.map((arm) => numbersOf(rows, arm, `${side}:${number}`).at(-1) ?? Number.NaN);
        return {
          name: `${what} of one layer's attention, ${speed.batches.at(-1)} images of ${tokens} tokens, widths ${widths}`,
          ...{ unit, better: "lower", headline: false, arms, baselineName: "VAR, cached" },
          target: ratio({ atMost: 1 }),
          numbers: (rows) => ({ system: read(rows, "hmar"), baseline: read(rows, "var") }),
        };
      },
    );
  });
}

/** The claim with sizes of one's own. */
export const hmarClaimOf =
  (options: HmarClaimOptions): ClaimFactory =>
  async (setting): Promise<Claim> => {
    const { contest, speed } = options;
    const [seed = 1] = contest.seeds;
    const shipped = await setting.model(options.model);
    const { config, ...contestants } = ladder({ ...options, seed }, shipped.sha256);
    const painted = { set: "synth", ...options.inpainting };
    const painter = async ({ model }: ArmContext) => {
      const weights = new Map(withPrefix(shipped.weights, tokenizerPrefix));
      for (const side of [sideNames.markov, sideNames.hmar])
        for (const [name, value] of decodeModel(await model(contestNames.training(side, seed))).weights)
          weights.set(name, value);
      return painterOf(config, weights, setting.device);
    };
    const { identities } = setting.features("synth");
    const networks = identities.map(({ name }) => name);
    const { batches, repeats } = speed;
    const { patchNums } = config.tokenizer;
    const refined = { patchNums, width: options.transformer.embedDim, batches, repeats };
    const timed = speed.schedules.flatMap((patchNums) =>
      speed.widths.map((width) =>
        hmarSpeedArm({ patchNums, width, batches, repeats }, setting.device, setting.onProgress),
      ),
    );
    const attended = speed.schedules.flatMap((patchNums) =>
      speed.widths.map((width) => {
        const { numHeads } = speedConfig({ patchNums, width }).transformer;
        return attentionArm(
          { patchNums, width, numHeads, batches, repeats },
          setting.device,
          setting.onProgress,
        );
      }),
    );
    return {
      system: "hmar",
      statement:
        "Predicting a scale from the picture so far alone needs no cache and fewer comparisons than VAR, saves time that " +
        "grows with the number of tokens, and, weighted by scale and refined by masked prediction, draws pictures that are " +
        "no worse for the same multiply-adds, and fills kept pictures better than by chance.",
      arms: [
        ...timed,
        ...attended,
        schedulesArm(refined, timedSchedules(options), setting.device, setting.onProgress),
        ...contestArms(setting, { ...contest, set: "synth", size: 32 }, contestants),
        inpaintingArm(
          setting,
          { ...painted, size: 32 },
          { ...painted, training: contestants.training },
          painter,
        ),
      ],
      measures: [
        ...speedMeasures(options),
        ...attentionMeasures(options),
        ...qualityMeasures(options, networks),
        ...scheduleMeasures(options),
        ...inpaintingMeasures(),
      ],
      notes: [
        "All sides use the tokenizer of the shipped synth-32; VAR trains for as many multiply-adds as both stages of HMAR.",
        "Time is that of the transformer without refinement, guided, with random weights; attention is computed scale by " +
          "scale, because a CPU runtime has no block-sparse kernel. VAR's cache crosses to the host and back at every pass.",
        "Bytes alive follow from shapes and liveness of one guided pass with its cache going in and out; the runtime's own " +
          "scratch space comes on top for both.",
        "Guidance is chosen per side on 1,000 samples of its first seed, from other noise than the judged samples but with " +
          "the same test pictures: the least product of all networks' distances.",
      ],
      protocol: (rows) => ({
        ...{ data: "synth", split: "test", samples: contest.samples, seeds: [...contest.seeds] },
        features: identities.map(({ name, sha256: hash }) => ({ name, sha256: hash })),
        computeFlops: numberOf(rows, contestNames.training(sideNames.var, seed), "multiplyAdds"),
        guidance: [sideNames.var, sideNames.markov, sideNames.hmar]
          .map((side) => `${side} ${numberOf(rows, contestNames.guidance(side), "chosen")}`)
          .join(", "),
      }),
      figures: (rows) => [timeFigure(rows, options), scheduleFigure(rows, options, networks)],
    };
  };

/** Sampling schedules of one model by name, from none to the longest. */
const timedSchedules = ({ schedules }: HmarClaimOptions) => ({
  none: "none",
  default: "default",
  ...schedules,
});

/** The side whose samples a schedule makes. */
const sideOf = (schedule: string): string =>
  ({ none: sideNames.markov, default: sideNames.hmar })[schedule] ?? sideNames.schedule(schedule);

const manyMs = (rows: Rows, schedule: string): number =>
  numbersOf(rows, schedulesName, `${schedule}:ms`).at(-1) ?? Number.NaN;

/** What refinement costs: network time under each schedule against none. */
function scheduleMeasures(options: HmarClaimOptions): ClaimMeasure[] {
  const many = options.speed.batches.at(-1);
  return Object.keys(timedSchedules(options))
    .filter((name) => name !== "none")
    .map((name) => ({
      ...{ name: `network time of ${many} images, schedule ${name}`, unit: "ms", better: "lower" },
      ...{
        headline: false,
        arms: [schedulesName],
        baselineName: "no refinement",
        target: ratio({ atMost: 4 }),
      },
      numbers: (rows) => ({ system: [manyMs(rows, name)], baseline: [manyMs(rows, "none")] }),
    }));
}

/** Distance over time: one model, its schedules, first seed. */
function scheduleFigure(rows: Rows, options: HmarClaimOptions, networks: readonly string[]): ResultFigure {
  const { contest, speed } = options;
  const [seed = 1] = contest.seeds;
  return {
    title: "One model, other schedules of refinement: distance over time",
    x: { label: `ms, ${speed.batches.at(-1)} images`, scale: "linear" },
    y: { label: "Fréchet distance", scale: "log" },
    series: networks.map((name, i) => ({
      name,
      line: true,
      points: Object.keys(timedSchedules(options)).map((schedule): [number, number] => [
        manyMs(rows, schedule),
        numberOf(rows, contestNames.judging(sideOf(schedule), seed), `distance${i}`),
      ]),
    })),
  };
}

/** Time over tokens, both sides, every width. */
function timeFigure(rows: Rows, options: HmarClaimOptions): ResultFigure {
  const { schedules, widths, batches } = options.speed;
  const tokens = schedules.map((sides) => sides.reduce((sum, side) => sum + side * side, 0));
  const series = widths.flatMap((width, w) =>
    (["hmar", "var"] as const).map((side) => ({
      name: `${side === "hmar" ? "HMAR" : "VAR"}, width ${width}`,
      line: true,
      points: speedNames(options).map(
        (arms, i) => [tokens[i], numbersOf(rows, arms[w] ?? "", `${side}:ms`).at(-1)] as [number, number], // one per batch
      ),
    })),
  );
  return {
    title: `Transformer time of ${batches.at(-1)} images`,
    x: { label: "tokens of a picture", scale: "log" },
    y: { label: "ms", scale: "log" },
    series,
  };
}

export const hmarClaim: ClaimFactory = hmarClaimOf(hmarClaimOptions);
