/** What can be trained in the page, as data: small enough for one thread, with a result that shows within a minute. */

export interface TrainingPlan {
  readonly id: string;
  readonly title: string;
  readonly about: string;
  /** Id of the model that it starts from, or "trained" for what was trained here. */
  readonly from: string;
  readonly stage: string;
  /** Weights whose names start like this are taken over; all when absent. */
  readonly keeps?: string;
  readonly overrides: (steps: number) => Readonly<Record<string, unknown>>;
}

/** Id of the model that was trained in this page. */
export const trainedHere = "trained-here";

/** The learning rate is lower than the recipe's, whose batches are 16 times as large. */
const refine = (steps: number) => ({
  train: {
    refine: { steps, batchSize: 4, learningRate: 4e-5, warmup: 10, tokenImages: 512, method: "sar-paper" },
  },
});

export const trainingPlans: readonly TrainingPlan[] = [
  {
    id: "base",
    title: "From noise to stickers",
    about:
      "SAR's base from random weights: a next-scale transformer of four layers learns to predict every scale from the " +
      "ones before it, over the tokenizer of flexvar-synth-32.",
    from: "flexvar-synth-32",
    stage: "transformer",
    keeps: "vae.",
    overrides: (steps) => ({
      transformer: { depth: 4 },
      schedules: { random: false },
      train: {
        transformer: {
          steps,
          batchSize: 6,
          learningRate: 3e-3,
          warmup: 20,
          emaDecay: 0.97,
          tokenImages: 1024,
        },
      },
    }),
  },
  {
    id: "refine",
    title: "SAR on the shipped base",
    about:
      "Self-autoregressive refinement: the model sees its own predictions as past, and learns to agree with what it " +
      "says on the true one.",
    from: "flexvar-synth-32",
    stage: "refine",
    overrides: refine,
  },
  {
    id: "refine-own",
    title: "SAR on what you trained",
    about: "The same refinement of the model that was trained in this page.",
    from: trainedHere,
    stage: "refine",
    overrides: refine,
  },
];

/** Whether the model that a plan begins with is among these. */
export const canStart = ({ from }: TrainingPlan, models: readonly string[]): boolean => models.includes(from);
