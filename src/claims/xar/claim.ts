/**
 * xAR's claim: cells learned from noisy context make better pictures than the same network learned from clean context, and
 * bear errors in what was generated; cells beat tokens at a sixteenth of the passes.
 * Source: arXiv 2502.20388, ablations (noisy context 2.48 against teacher forcing 3.45; cell 2.48, token 3.51, image 3.13).
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
import type { Target } from "../../evaluate/claim/target.ts";
import { contestArms } from "../contest/arms.ts";
import { distanceMeasures, ruleMeasures } from "../contest/measures.ts";
import { type ContestOptions, contestNames } from "../contest/side.ts";
import { type RobustnessOptions, robustnessArm, robustnessName } from "./robustness.ts";
import { configOf, type EntityOptions, entitySides, type SideName, sideNames } from "./sides.ts";
import { speedName, type XarSpeedOptions, xarSpeedArm, xarSpeedOptions } from "./speed.ts";

export interface XarClaimOptions extends Omit<EntityOptions, "seed"> {
  readonly contest: Omit<ContestOptions, "set" | "size">;
  readonly robustness: RobustnessOptions;
  readonly speed: XarSpeedOptions;
}

export const xarClaimOptions: XarClaimOptions = {
  ...{ embedDim: 128, numHeads: 4, depth: 2, steps: 10 },
  ...{ tokenizerSteps: 2500, transformerSteps: 1500, batchSize: 64, tokenImages: 20_480 },
  ablations: ["token", "image", "scale", "increasing", "decreasing"],
  contest: {
    seeds: [1, 2, 3],
    samples: 2_000,
    guidanceGrid: [0, 0.75, 1.5],
    guidanceSamples: 500,
    guidanceBy: "product",
  },
  robustness: { pictures: 1_024, sigmas: [0, 0.1, 0.2, 0.3] },
  speed: xarSpeedOptions,
};

const { xar, clean } = sideNames;
const teacher = "teacher forcing: the same network, a clean copy as context";

function qualityMeasures(
  { contest: { seeds }, ablations }: XarClaimOptions,
  networks: readonly string[],
): ClaimMeasure[] {
  const rivals = { system: xar, baseline: clean, baselineName: teacher, seeds };
  const once = (baseline: SideName) =>
    distanceMeasures({ system: xar, baseline, baselineName: baseline, seeds: seeds.slice(0, 1) }, networks, {
      name: `Fréchet distance against ${baseline}, one seed`,
      atMost: 0,
      headline: baseline === sideNames.token,
    });
  return [
    ...distanceMeasures(rivals, networks, {
      name: "Fréchet distance against teacher forcing",
      ...{ atMost: 0, headline: true },
    }),
    ...ruleMeasures(rivals),
    ...ablations.flatMap(once),
  ];
}

function robustnessMeasures({ contest: { seeds }, robustness }: XarClaimOptions): ClaimMeasure[] {
  const arms = (side: string) => seeds.map((seed) => robustnessName(side, seed));
  const told = { unit: "squared error", better: "lower", baselineName: teacher } as const;
  const both = { arms: [...arms(xar), ...arms(clean)] };
  const noise = robustness.sigmas.at(-1);
  const read = (number: (rows: Rows, arm: string) => number) => (rows: Rows) => ({
    system: arms(xar).map((arm) => number(rows, arm)),
    baseline: arms(clean).map((arm) => number(rows, arm)),
  });
  return [
    {
      ...{ ...told, ...both, headline: true },
      name: `rise of the next cell's velocity error under context noise of ${noise}`,
      target: [{ quantity: "ratio", over: "mean", atMost: 0.5 }],
      numbers: read((rows, arm) => numberOf(rows, arm, "rise")),
    },
    {
      ...{ ...told, ...both, headline: false },
      name: "velocity error of the next cell under clean context",
      target: [{ quantity: "relativeChange", over: "mean", atMost: 0 }],
      numbers: read((rows, arm) => numbersOf(rows, arm, "error")[0] ?? Number.NaN),
    },
  ];
}

function speedMeasures({ speed: { batches } }: XarClaimOptions): ClaimMeasure[] {
  const told = { arms: [speedName], better: "lower", baselineName: sideNames.token } as const;
  const ratio = (atMost: number): Target[] => [{ quantity: "ratio", over: "every", atMost }];
  const counted = (number: string) => (rows: Rows) => ({
    system: [numberOf(rows, speedName, `xar:${number}`)],
    baseline: [numberOf(rows, speedName, `token:${number}`)],
  });
  return [
    {
      ...{ ...told, name: "passes per picture, 4 cells against 64 tokens", unit: "passes", headline: true },
      ...{ target: ratio(4 / 64), numbers: counted("passes") },
    },
    {
      ...{ ...told, name: `time of ${batches.join(" and ")} images`, unit: "ms", headline: false },
      target: ratio(0.5),
      numbers: (rows) => ({
        system: numbersOf(rows, speedName, "xar:ms"),
        baseline: numbersOf(rows, speedName, "token:ms"),
      }),
    },
    {
      ...{ ...told, name: "multiply-adds per picture", unit: "multiply-adds", headline: false },
      ...{ target: ratio(1.1), numbers: counted("multiplyAdds") },
    },
  ];
}

/** Velocity error over the context's noise, the first seed of both. */
function errorFigure(
  { contest: { seeds }, robustness: { sigmas } }: XarClaimOptions,
  rows: Rows,
): ResultFigure {
  const [seed = 1] = seeds;
  const line = (name: string) => ({
    name,
    line: true,
    points: sigmas.map((sigma, i): [number, number] => [
      sigma,
      numbersOf(rows, robustnessName(name, seed), "error")[i] ?? Number.NaN,
    ]),
  });
  return {
    title: "Velocity error of the next cell against noise in its context",
    x: { label: "deviation of the noise", scale: "linear" },
    y: { label: "squared error", scale: "linear" },
    series: [line(xar), line(clean)],
  };
}

/** The claim with sizes of one's own. */
export const xarClaimOf =
  (options: XarClaimOptions): ClaimFactory =>
  async (setting): Promise<Claim> => {
    const { contest, robustness, speed } = options;
    const [seed = 1] = contest.seeds;
    const { identities } = setting.features("synth");
    const own = { ...options, seed };
    const taking = entitySides(own);
    const robust = contest.seeds.flatMap((each) =>
      [xar, clean].map((name) =>
        robustnessArm(setting, { name, config: configOf(name, own) }, each, robustness, taking.training),
      ),
    );
    return {
      system: "xar",
      statement:
        "Next-cell prediction by flow matching learned from noisy context has a lower Fréchet distance than with teacher " +
        "forcing, at most half its rise of the velocity error when the context is noisy, and beats next-token prediction " +
        "with a sixteenth of the passes.",
      arms: [
        xarSpeedArm(own, speed, setting.device, setting.onProgress),
        ...contestArms(setting, { ...contest, set: "synth", size: 32 }, taking),
        ...robust,
      ],
      measures: [
        ...qualityMeasures(
          options,
          identities.map(({ name }) => name),
        ),
        ...robustnessMeasures(options),
        ...speedMeasures(options),
      ],
      notes: [
        "All sides have the same network, autoencoder, steps and batches; teacher forcing's sequence also holds a clean copy of all cells but the last, so a step of it costs more.",
        `Every side samples with ${options.steps} passes per entity; officially 40 to 50.`,
        "Teacher forcing is compared over all seeds; kinds of entities and of noise with one seed each.",
        "Context noise is added to held-out latents, because generated ones have no true next cell; the same noise for all.",
        `Guidance is chosen per side on ${contest.guidanceSamples} samples of its first seed, from other noise than the judged samples, with the same test pictures: the least product of all networks' distances.`,
      ],
      protocol: (rows) => ({
        ...{ data: "synth", split: "test", samples: contest.samples, seeds: [...contest.seeds] },
        features: identities.map(({ name, sha256 }) => ({ name, sha256 })),
        computeFlops: numberOf(rows, contestNames.training(xar, seed), "multiplyAdds"),
        guidance: [xar, clean]
          .map((side) => `${side} ${numberOf(rows, contestNames.guidance(side), "chosen")}`)
          .join(", "),
      }),
      figures: (rows) => [errorFigure(options, rows)],
    };
  };

export const xarClaim: ClaimFactory = xarClaimOf(xarClaimOptions);
