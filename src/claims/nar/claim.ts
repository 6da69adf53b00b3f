/**
 * NAR's claim: predicting all nearest neighbours at once takes 2 n - 1 passes instead of n^2, is at least twice as fast as
 * predicting the next token, and costs little quality; averaging the heads where they meet is what makes it work.
 * Source: arXiv 2503.10696, tables 1 and 6 (2.4 times the throughput of a parallel baseline; 3.06 with the average, 75.91 with
 * the right head alone).
 */
import {
  type Claim,
  type ClaimFactory,
  type ClaimMeasure,
  numberOf,
  numbersOf,
  type Rows,
} from "../../evaluate/claim/claim.ts";
import type { Target } from "../../evaluate/claim/target.ts";
import { contestArms } from "../contest/arms.ts";
import { distanceMeasures, meanChange, ruleMeasures } from "../contest/measures.ts";
import { type ContestOptions, contestNames } from "../contest/side.ts";
import { type NeighbourOptions, neighbours, sideNames } from "./sides.ts";
import { type NarSpeedOptions, narSpeedArm, narSpeedOptions } from "./speed.ts";

export interface NarClaimOptions extends Omit<NeighbourOptions, "seed"> {
  readonly contest: Omit<ContestOptions, "set" | "size">;
  readonly speed: NarSpeedOptions & { readonly sides: readonly number[] };
}

export const narClaimOptions: NarClaimOptions = {
  transformer: { dim: 96, nHead: 6 },
  layers: 6,
  tokenizerSteps: 3000,
  transformerSteps: 1500,
  batchSize: 64,
  tokenImages: 20_480,
  contest: {
    seeds: [1, 2, 3],
    samples: 5_000,
    guidanceGrid: [0, 0.75, 1.5],
    guidanceSamples: 1_000,
    guidanceBy: "product",
  },
  speed: { ...narSpeedOptions, sides: [8, 16] },
};

const raster = "next token (LlamaGen)";
const speedName = (side: number): string => `speed-${side}`;

function speedMeasures({ speed: { sides, batches } }: NarClaimOptions): ClaimMeasure[] {
  const arms = sides.map(speedName);
  const maps = sides.map((side) => `${side} x ${side}`).join(" and ");
  const told = { arms, better: "lower", baselineName: raster } as const;
  const ratio = (atMost: number): Target[] => [{ quantity: "ratio", over: "every", atMost }];
  const counted = (number: string) => (rows: Rows) => ({
    system: arms.map((arm) => numberOf(rows, arm, `nar:${number}`)),
    baseline: arms.map((arm) => numberOf(rows, arm, `raster:${number}`)),
  });
  const times = (images: number, number: "ms" | "wallMs", headline: boolean): ClaimMeasure => {
    const read = (rows: Rows, side: string) =>
      arms.map((arm) => numbersOf(rows, arm, `${side}:${number}`)[batches.indexOf(images)] ?? Number.NaN);
    const what = number === "ms" ? "transformer time" : "time with sampling on the host";
    return {
      ...told,
      ...{ name: `${what}, ${images} images, ${maps}`, unit: "ms", headline, target: ratio(0.5) },
      numbers: (rows) => ({ system: read(rows, "nar"), baseline: read(rows, "raster") }),
    };
  };
  const many = batches.at(-1) ?? 1;
  return [
    {
      ...told,
      ...{ name: `passes per picture beyond 2 n - 1, ${maps}`, unit: "passes", headline: true },
      baselineName: "none",
      target: [{ quantity: "value", over: "every", atLeast: 0, atMost: 0 }],
      numbers: (rows) => ({
        system: sides.map((side, i) => numberOf(rows, arms[i] ?? "", "nar:passes") - (2 * side - 1)),
      }),
    },
    {
      ...told,
      name: `passes per picture, ${maps}`,
      unit: "passes",
      headline: true,
      target: ratio(15 / 64),
      numbers: counted("passes"),
    },
    times(many, "wallMs", true),
    ...batches.map((images) => times(images, "ms", false)),
    {
      ...told,
      ...{ name: `multiply-adds per picture, ${maps}`, unit: "multiply-adds", headline: false },
      ...{ target: ratio(1.1), numbers: counted("multiplyAdds") },
    },
  ];
}

function qualityMeasures(
  { contest: { seeds } }: NarClaimOptions,
  networks: readonly string[],
): ClaimMeasure[] {
  const rivals = { system: sideNames.nar, baseline: sideNames.raster, baselineName: raster, seeds };
  const first = seeds.slice(0, 1);
  return [
    ...distanceMeasures(rivals, networks, { name: "Fréchet distance", atMost: 0.1, headline: true }),
    ...ruleMeasures(rivals),
    ...([sideNames.right, sideNames.below] as const).flatMap((baseline) =>
      distanceMeasures(
        {
          system: sideNames.nar,
          baseline,
          baselineName: `${baseline}: that head alone where both meet`,
          seeds: first,
        },
        networks,
        {
          ...{ name: `Fréchet distance against ${baseline}, one seed`, atMost: -0.2 },
          headline: false, // of a model trained to average: no model was trained for one head
        },
      ).filter((_, i) => i % 2 === 0),
    ),
  ];
}

/** Held-out tokens: the exact likelihood of the next token, and neighbours' sum of marginals, each group given all before. */
function likelihoodMeasure({ contest: { seeds } }: NarClaimOptions): ClaimMeasure {
  const arms = (side: string) => seeds.map((seed) => contestNames.training(side, seed));
  const read = (rows: Rows, side: string) => arms(side).map((arm) => numberOf(rows, arm, "validationLoss"));
  return {
    ...{ name: "negative log-likelihood of held-out tokens (sum of marginals)", unit: "nats per token" },
    ...{ better: "lower", headline: false, baselineName: raster, target: [meanChange({ atMost: 0.1 })] },
    arms: [...arms(sideNames.nar), ...arms(sideNames.raster)],
    numbers: (rows) => ({ system: read(rows, sideNames.nar), baseline: read(rows, sideNames.raster) }),
  };
}

/** The claim with sizes of one's own. */
export const narClaimOf =
  (options: NarClaimOptions): ClaimFactory =>
  async (setting): Promise<Claim> => {
    const { contest, speed } = options;
    const [seed = 1] = contest.seeds;
    const { identities } = setting.features("synth");
    const pair = neighbours({ ...options, seed });
    return {
      system: "nar",
      statement:
        "Next-neighbour prediction takes 2 n - 1 passes for n x n tokens, is at least twice as fast as next-token prediction " +
        "when many pictures are drawn, both cached, and its Fréchet distance is at most 10 % above.",
      arms: [
        ...speed.sides.map((side) => narSpeedArm(side, speed, setting.device, setting.onProgress)),
        ...contestArms(setting, { ...contest, set: "synth", size: 32 }, pair),
      ],
      measures: [
        ...speedMeasures(options),
        ...qualityMeasures(
          options,
          identities.map(({ name }) => name),
        ),
        likelihoodMeasure(options),
      ],
      notes: [
        `Both sides have ${options.layers} layers; next-neighbour's second head is read after the last of them, the first one before it.`,
        "Both train for the same steps on the tokens of the same tokenizer, LlamaGen's form with L2-normalised codes.",
        "Where heads meet, the ablations let one of them decide while sampling; their weights are those of the average.",
        "Times are with random weights, guided, both sides with the same key/value cache, which crosses to the host and back.",
        "Guidance is chosen per side on 1,000 samples of its first seed, from other noise than the judged samples but with " +
          "the same test pictures: the least product of all networks' distances.",
      ],
      protocol: (rows) => ({
        ...{ data: "synth", split: "test", samples: contest.samples, seeds: [...contest.seeds] },
        features: identities.map(({ name, sha256 }) => ({ name, sha256 })),
        computeFlops: numberOf(rows, contestNames.training(sideNames.nar, seed), "multiplyAdds"),
        guidance: [sideNames.nar, sideNames.raster]
          .map((side) => `${side} ${numberOf(rows, contestNames.guidance(side), "chosen")}`)
          .join(", "),
      }),
    };
  };

export const narClaim: ClaimFactory = narClaimOf(narClaimOptions);
