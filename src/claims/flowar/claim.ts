/**
 * FlowAR's claim: continuous latents of any autoencoder, made by a flow per scale, keep pictures better than a codebook and
 * draw them no worse than a VAR of the same size; scales and autoencoder are changed without training a tokenizer again.
 * Source: arXiv 2412.15205, tables 1, 4 and 5 (L 589M 1.90, VAR-d20 600M 2.95).
 */
import {
  type Claim,
  type ClaimFactory,
  type ClaimMeasure,
  numberOf,
  numbersOf,
  type Rows,
} from "../../evaluate/claim/claim.ts";
import type { ResultFigure } from "../../evaluate/claim/result.ts";
import { contestArms } from "../contest/arms.ts";
import {
  distanceMeasures,
  meanChange,
  pairedMeasure,
  type Rivals,
  ruleMeasures,
} from "../contest/measures.ts";
import { type ContestOptions, contestNames } from "../contest/side.ts";
import { type FlowSidesOptions, flowSides, sideNames, tokenizerNames } from "./sides.ts";

export interface FlowArClaimOptions extends Omit<FlowSidesOptions, "seed"> {
  readonly contest: Omit<ContestOptions, "set" | "size">;
}

/** The number of steps that samples take where nothing else is said. */
const usualSteps = 25;

export const flowArClaimOptions: FlowArClaimOptions = {
  ...{ width: 64, numHeads: 4, batchSize: 64, tokenImages: 20_480 },
  tokenizerSteps: 1200,
  transformerSteps: 1200,
  otherScales: [1, 4, 8],
  swapped: { zChannels: 8, ch: 32 },
  steps: [5, 10, 50],
  contest: {
    seeds: [1, 2, 3],
    samples: 2_000,
    guidanceGrid: [0, 0.75, 1.5],
    guidanceSamples: 500,
    guidanceBy: "product",
  },
};

/** Squared error on [-1, 1] of a round trip, from its ratio of signal to noise. */
const squaredError = (rows: Rows, tokenizer: string): number =>
  4 / 10 ** (numberOf(rows, contestNames.tokenizer(tokenizer), "psnr") / 10);

function ceilingMeasures(networks: readonly string[]): ClaimMeasure[] {
  const { kl, var: vq } = tokenizerNames;
  const told = {
    better: "lower",
    headline: true,
    baselineName: "VAR's residual codebook, same steps",
  } as const;
  const trips = [kl, vq].map(contestNames.roundTrip);
  return [
    {
      ...told,
      ...{ name: "squared error of round trips", unit: "on a scale of [-1, 1]" },
      arms: [kl, vq].map(contestNames.tokenizer),
      target: [{ quantity: "ratio", over: "every", atMost: 0.8 }],
      numbers: (rows) => ({ system: [squaredError(rows, kl)], baseline: [squaredError(rows, vq)] }),
    },
    ...networks.map(
      (network, i): ClaimMeasure => ({
        ...told,
        ...{ name: `Fréchet distance of round trips, ${network}`, unit: "", arms: trips },
        target: [meanChange({ atMost: 0 })],
        numbers: (rows) => ({
          system: [numberOf(rows, contestNames.roundTrip(kl), `distance${i}`)],
          baseline: [numberOf(rows, contestNames.roundTrip(vq), `distance${i}`)],
        }),
      }),
    ),
  ];
}

function flexibilityMeasures({ contest, otherScales }: FlowArClaimOptions, networks: readonly string[]) {
  const seeds = contest.seeds.slice(0, 1);
  const [seed = 1] = seeds;
  const variants = [sideNames.flowar, sideNames.scales, sideNames.swapped];
  const arms = variants.map((side) => contestNames.training(side, seed));
  const against = (system: string): Rivals => ({
    ...{ system, baseline: sideNames.flowar, baselineName: "scales 1, 2, 4, 8, first autoencoder", seeds },
  });
  const converged: ClaimMeasure = {
    ...{
      name: "loss of the last thirtieth of training, against the first: as it is, other scales, other autoencoder",
    },
    ...{ unit: "", better: "lower", headline: true, arms, baselineName: "first thirtieth" },
    target: [{ quantity: "ratio", over: "every", atMost: 0.7 }],
    numbers: (rows) => {
      const curves = arms.map((arm) => numbersOf(rows, arm, "curve"));
      return {
        system: curves.map((curve) => curve.at(-1) ?? Number.NaN),
        baseline: curves.map((curve) => curve[0] ?? Number.NaN),
      };
    },
  };
  const name = "Fréchet distance with";
  return [
    converged,
    ...distanceMeasures(against(sideNames.scales), networks, {
      ...{
        name: `${name} scales ${otherScales.join(", ")}, same autoencoder, one seed`,
        atMost: 0.2,
        headline: true,
      },
    }),
    ...distanceMeasures(against(sideNames.swapped), networks, {
      ...{ name: `${name} another autoencoder, one seed`, atMost: 0.2, headline: true },
    }),
  ];
}

function samplingMeasures(
  { contest, steps }: FlowArClaimOptions,
  networks: readonly string[],
): ClaimMeasure[] {
  const seeds = contest.seeds.slice(0, 1);
  const sideOf = (count: number) => (count === usualSteps ? sideNames.flowar : sideNames.steps(count));
  const [network = ""] = networks;
  const ladder = [...steps, usualSteps].sort((a, b) => a - b);
  const compared = ladder.slice(1).map((more, i): ClaimMeasure => {
    const fewer = ladder[i] as number; // one before
    const bounds = more > usualSteps ? { atMost: 0.05, atLeast: -0.1 } : { atMost: 0 };
    return pairedMeasure(
      { system: sideOf(more), baseline: sideOf(fewer), baselineName: `${fewer} steps, same weights`, seeds },
      {
        ...{ name: `Fréchet distance of ${more} steps, one seed, ${network}`, unit: "", better: "lower" },
        ...{ target: [meanChange(bounds)], number: "distance0", headline: false },
      },
    );
  });
  const ramp = {
    ...{ system: sideNames.flowar, baseline: sideNames.constant, seeds },
    baselineName: "the same weight for all scales, chosen alike",
  };
  return [
    ...compared,
    ...distanceMeasures(ramp, networks, {
      ...{ name: "Fréchet distance with ramped guidance, one seed", atMost: 0, headline: false },
    }).filter((_, i) => i % 2 === 0),
  ];
}

/** Distance over steps. */
function stepsFigure(
  rows: Rows,
  { steps, contest }: FlowArClaimOptions,
  networks: readonly string[],
): ResultFigure {
  const [seed = 1] = contest.seeds;
  const ladder = [...steps, usualSteps].sort((a, b) => a - b);
  const arm = (count: number) =>
    contestNames.judging(count === usualSteps ? sideNames.flowar : sideNames.steps(count), seed);
  return {
    title: "Distance against steps of the flow",
    x: { label: "steps per scale", scale: "log" },
    y: { label: "Fréchet distance", scale: "log" },
    series: networks.map((name, i) => ({
      ...{ name, line: true },
      points: ladder.map((count) => [count, numberOf(rows, arm(count), `distance${i}`)] as [number, number]),
    })),
  };
}

/** The claim with sizes of one's own. */
export const flowArClaimOf =
  (options: FlowArClaimOptions): ClaimFactory =>
  async (setting): Promise<Claim> => {
    const { contest } = options;
    const [seed = 1] = contest.seeds;
    const { identities } = setting.features("synth");
    const networks = identities.map(({ name }) => name);
    const { sides, tokenizers, training } = flowSides({ ...options, seed });
    const rivals = {
      ...{ system: sideNames.flowar, baseline: sideNames.var, seeds: contest.seeds },
      baselineName: "VAR, as many parameters, same steps",
    };
    return {
      system: "flowar",
      statement:
        "Continuous latents lose less of a picture than a residual codebook; a transformer over scales that double, with a " +
        "flow per scale, draws them no worse than a VAR of the same size; its scales and its autoencoder can be changed " +
        "without anything else.",
      arms: contestArms(setting, { ...contest, set: "synth", size: 32 }, { sides, tokenizers, training }),
      measures: [
        ...ceilingMeasures(networks),
        ...distanceMeasures(rivals, networks, { name: "Fréchet distance", atMost: 0, headline: true }),
        ...ruleMeasures(rivals),
        ...flexibilityMeasures(options, networks),
        ...samplingMeasures(options, networks),
      ],
      notes: [
        "Both sides see the same pictures in as many steps with as many parameters to within 5 %; VAR's maps have 130 tokens, " +
          "FlowAR's 85 sites, so a step of VAR is more work, and a picture of FlowAR more passes.",
        "The swapped autoencoder has eight numbers per site instead of four, and fewer channels.",
        "Both tokenizers have the same encoder and decoder and train for as many steps on the same terms of pixels.",
        "An odd number of steps makes one fewer, as in the authors' code: half of the times lie above 0.3.",
        `Guidance is chosen per side on ${contest.guidanceSamples} samples of its first seed, from other noise than the judged ones, with the same test pictures: the least product of all networks' distances.`,
      ],
      protocol: (rows) => ({
        ...{ data: "synth", split: "test", samples: contest.samples, seeds: [...contest.seeds] },
        features: identities.map(({ name, sha256 }) => ({ name, sha256 })),
        computeFlops: numberOf(rows, contestNames.training(sideNames.flowar, seed), "multiplyAdds"),
        guidance: [sideNames.flowar, sideNames.var]
          .map((side) => `${side} ${numberOf(rows, contestNames.guidance(side), "chosen")}`)
          .join(", "),
      }),
      figures: (rows) => [stepsFigure(rows, options, networks)],
    };
  };

export const flowArClaim: ClaimFactory = flowArClaimOf(flowArClaimOptions);
