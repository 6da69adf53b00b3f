/** Arms that take times: kernels of companion matrices by squaring and in O(d + L), and training steps. Quiet machine. */
import { openWindows, type SeriesSource } from "../../data/series/windows.ts";
import { medianMs } from "../../evaluate/bench/engine.ts";
import type { Arm } from "../../evaluate/claim/arms.node.ts";
import type { ClaimSetting } from "../../evaluate/claim/claim.ts";
import { companionKernel, fastCompanionKernel, normalised } from "../../nn/companion.ts";
import { defaultAdamW } from "../../regimen/adamw.ts";
import { SeriesTask } from "../../regimen/seriesTask.ts";
import { Trainer } from "../../regimen/trainer.ts";
import { compile } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats, type Value } from "../../runtime/values.ts";
import { RandomStream } from "../../tensor/random.ts";
import { float32 } from "../../tensor/tensor.ts";
import type { Contestant, ForecastBenchmark } from "../series/forecastArms.ts";

const repeats = 7;
const trainerOptions = {
  schedule: { name: "halving", peak: 1e-3, steps: 100, warmup: 0, end: 0, period: 100 },
  optimizer: { ...defaultAdamW, beta2: 0.999, clipNorm: 0 },
  ...{ accumulate: 1, emaDecay: 0 },
} as const;

export interface KernelOptions {
  readonly kernels: number;
  readonly stateSizes: readonly number[];
  readonly lengths: readonly number[];
}

/** Times over state sizes at the first length, and over lengths at the first state size. */
export function kernelArm({ device, onProgress }: ClaimSetting, options: KernelOptions): Arm {
  const { kernels, stateSizes, lengths } = options;
  const forms = { squaring: companionKernel, fast: fastCompanionKernel };
  const timeOf = async (form: keyof typeof forms, stateSize: number, length: number) => {
    onProgress?.(`kernel ${form}, state ${stateSize}, length ${length}`);
    const spec = float32(kernels, stateSize);
    const graph = trace({ a: spec, b: spec, c: spec }, ({ a, b, c }) => ({
      kernel: forms[form](length, normalised(a, 1), b, c),
    }));
    const draw = (name: string): Value =>
      floats(RandomStream.from(1, name).normals(kernels * stateSize, 1), [kernels, stateSize]);
    const inputs = { a: draw("a"), b: draw("b"), c: draw("c") };
    using program = await compile(graph, { device, weights: new Map(), prepack: false });
    return await medianMs(() => program.run(inputs), repeats);
  };
  return {
    name: "kernels",
    definition: { ...options, repeats, version: 1 },
    run: async () => {
      const numbers: Record<string, number[]> = {};
      for (const form of ["squaring", "fast"] as const) {
        numbers[`${form}:byState`] = [];
        numbers[`${form}:byLength`] = [];
        for (const size of stateSizes)
          numbers[`${form}:byState`]?.push(await timeOf(form, size, lengths[0] ?? 1));
        for (const length of lengths)
          numbers[`${form}:byLength`]?.push(await timeOf(form, stateSizes[0] ?? 1, length));
      }
      return { numbers };
    },
  };
}

/** The series of a table's last channel alone: what benchmarks of one series take. */
function lastChannel({ table, ...source }: SeriesSource): SeriesSource {
  const { channels, values } = table;
  const count = channels.length;
  const own = Float32Array.from(
    { length: values.length / count },
    (_, row) => values[row * count + count - 1] ?? 0,
  );
  return { ...source, table: { ...table, channels: channels.slice(-1), values: own } };
}

export const stepTimesName = { all: "step-times", last: "step-times-one-channel" } as const;

/** Median time of a training step of every contestant, batches of 32 windows of all channels or of the last one. */
export function stepTimeArm(
  setting: ClaimSetting,
  benchmark: ForecastBenchmark,
  contestants: readonly Contestant[],
  channels: keyof typeof stepTimesName,
): Arm {
  const models = contestants.map(({ definition }) => definition);
  return {
    name: stepTimesName[channels],
    definition: { benchmark, models, repeats, version: 1, ...(channels === "last" && { channels: 1 }) },
    run: async () => {
      const all = await setting.openSeries(benchmark.set);
      const source = channels === "last" ? lastChannel(all) : all;
      const windows = openWindows(source, "train", benchmark);
      const shape = { ...benchmark, frequency: source.frequency, channels: source.table.channels.length };
      const numbers: Record<string, number> = {};
      for (const { name, trainee } of contestants) {
        setting.onProgress?.(`step of ${name}`);
        const task = new SeriesTask(trainee(shape), windows, 32, 1);
        using trainer = await Trainer.create(
          task,
          trainerOptions,
          setting.device,
          RandomStream.from(1, "times"),
        );
        numbers[name] = await medianMs(() => trainer.advance(), repeats);
      }
      return { numbers };
    },
  };
}
