/** Arms that sample one model with several schedules: what fewer, more and larger scales give, and what they cost. */
import { medianMs } from "../../bench/engine.ts";
import { frechetDistance } from "../../frechet.ts";
import { ruleValidity, sampleAccuracy } from "../../metrics.ts";
import type { Arm } from "../arms.node.ts";
import { guidanceSamples, noise, samplesOf, wholeModel } from "./judging.ts";
import { armNames, definitionOf, type RefinementBench } from "./setting.ts";

/** Guidance of all schedules. */
const guidance = 0.5;

/** A trained model, and what it is sampled with. */
export interface ScheduledModel {
  readonly method: string;
  readonly seed: number;
  readonly schedules: readonly (readonly number[])[];
}

/**
 * Per schedule (its number of scales and last side): distances, share of pictures that our classifier puts into the class
 * asked for, share that keeps every rule, seconds per picture of sampling alone. Pictures of another side than the model's
 * are judged in the model's size.
 */
export function schedulesArm(bench: RefinementBench, { method, seed, schedules }: ScheduledModel): Arm {
  const { setting } = bench;
  const { set, base } = setting;
  return {
    name: armNames.schedules(set),
    definition: definitionOf(setting, {
      method: setting.methods[method],
      ...{ seed, schedules, guidance, guidanceSamples, noise: noise.guidance },
    }),
    run: async ({ model, signal }) => {
      const file = wholeModel(base, await model(armNames.training(set, method, seed)));
      const count = Math.min(guidanceSamples, setting.samples);
      const { extractors, features } = await bench.real();
      const test = await setting.openData("test");
      const numbers: Record<string, number[]> = {
        scales: schedules.map(({ length }) => length),
        lastSide: schedules.map((sides) => sides.at(-1) ?? 0),
      };
      const note = (name: string, value: number) => {
        numbers[name] ??= [];
        numbers[name].push(value);
      };
      for (const schedule of schedules) {
        const startMs = performance.now();
        const options = { cfgScale: guidance, schedule };
        const samples = await samplesOf(bench, file, { count, seed: noise.guidance, options, signal });
        note("secondsPerPicture", (performance.now() - startMs) / 1000 / count);
        for (const [i, extractor] of extractors.entries()) {
          const { features: generated, logits } = await extractor.extract(samples, signal);
          note(`distance${i}`, frechetDistance(features[i] as typeof generated, generated).distance); // one each
          if (logits && extractor.classNames) note("accuracy", sampleAccuracy(logits, samples.labels).rate);
        }
        const validity = ruleValidity(test, samples.pixels, samples.labels);
        if (validity) note("validity", validity.rate);
      }
      return { numbers };
    },
  };
}

/** Pictures drawn at once when time is taken, and how often. */
const timedPictures = 64;
const timedRepeats = 5;

/** Milliseconds per picture of every schedule, sampling and decoding, median of repeats. To be run on a quiet machine. */
export function scheduleTimesArm(bench: RefinementBench, { method, seed, schedules }: ScheduledModel): Arm {
  const { setting } = bench;
  const { set, base, system, device } = setting;
  return {
    name: armNames.scheduleTimes(set),
    isExtra: true,
    definition: definitionOf(setting, {
      method: setting.methods[method],
      ...{ seed, schedules, guidance, timedPictures, timedRepeats },
    }),
    run: async ({ model, signal }) => {
      const file = wholeModel(base, await model(armNames.training(set, method, seed)));
      using opened = await system.open(file.description, file.weights, device);
      const labels = Array.from({ length: timedPictures }, (_, i) => i % file.description.classNames.length);
      const stop = signal && { signal };
      const msPerPicture: number[] = [];
      for (const schedule of schedules) {
        const options = { cfgScale: guidance, schedule };
        const draw = async () => {
          for await (const _ of opened.sample({ labels, seed: 1, options, previews: false, ...stop }));
        };
        msPerPicture.push((await medianMs(draw, timedRepeats)) / timedPictures);
      }
      return { numbers: { msPerPicture, threads: device.threads } };
    },
  };
}
