/**
 * Zero-shot in-painting with a scale-wise model over a residual tokenizer: the right half of held-out pictures is made anew. Against it stand the
 * tokens of an independent sample with the same class, noise and 1 x 1 token, put into the same sites and decoded the same
 * way: residual tokens fit the coarser ones they were drawn on, so both begin with the real one, and nothing differs but
 * whether the model saw the rest of what was kept.
 */
import { boxMask, editPlan } from "../codec/editMask.ts";
import { decodeGraph, reconstructGraph, tokenizeGraph } from "../codec/multiScalePrograms.ts";
import type { MultiScaleTokenizer } from "../codec/multiScaleTokenizer.ts";
import { composeContactSheet } from "../data/contactSheet.ts";
import { floatToImages } from "../data/pixels.ts";
import type { ImageSet } from "../data/types.ts";
import type { GroupResult } from "../decoding/groupGenerator.ts";
import type { KeptTokens } from "../decoding/types.ts";
import type { Arm, ArmContext, ArmOutcome } from "../evaluate/claim/arms.node.ts";
import { type ClaimMeasure, type ClaimSetting, numbersOf, type Rows } from "../evaluate/claim/claim.ts";
import type { RgbImage } from "../formats/png.ts";
import type { Weights } from "../nn/scope.ts";
import type { Scale } from "../plan/types.ts";
import { firstPictures } from "../regimen/observing.ts";
import type { Device } from "../runtime/device.ts";
import { compile } from "../runtime/program.ts";
import { floats, ints } from "../runtime/values.ts";
import { RandomStream } from "../tensor/random.ts";

export interface InpaintingOptions {
  readonly set: string;
  /** Pixels along a side. */
  readonly size: number;
  readonly pictures: number;
  readonly seeds: readonly number[];
}

/** What in-paints: a residual tokenizer, its weights, and an opened generator of tokens, scale by scale. */
export interface Painter {
  readonly tokenizer: MultiScaleTokenizer;
  readonly weights: Weights;
  readonly generator: Disposable & {
    generate(
      labels: Int32Array,
      options: typeof sampling & { readonly edit?: KeptTokens; readonly signal?: AbortSignal },
      streams: readonly RandomStream[],
    ): AsyncIterable<GroupResult<Scale>>;
  };
}

const box = { y0: 0, x0: 0.5, y1: 1, x1: 1 };
const sampling = { cfgScale: 1.5, topK: 0, topP: 0.96, temperature: 1, smooth: false };
const chunk = 32;
const shown = 12;

/** Flat sites [L], 1 where a token is kept. */
function keptSites(keep: KeptTokens["keep"]): Uint8Array {
  return Uint8Array.from(keep.flatMap((flags) => [...flags]));
}

/**
 * Of pictures [n, 3, S, S], against the real ones: squared error over the new half; how much the step across the border
 * differs from the real one (absolute, per row); and the step itself, which is no error: real pictures have edges there.
 */
export function fillErrors(made: Float32Array, real: Float32Array, size: number) {
  let [fill, border, step, sites, rows] = [0, 0, 0, 0, 0];
  const half = size / 2;
  for (let line = 0; line < made.length; line += size) {
    const stepOf = (all: Float32Array) => (all[line + half] as number) - (all[line + half - 1] as number); // in range
    step += Math.abs(stepOf(made));
    border += Math.abs(stepOf(made) - stepOf(real));
    rows++;
    for (let x = half; x < size; x++, sites++)
      fill += ((made[line + x] as number) - (real[line + x] as number)) ** 2; // same length
  }
  return { fill: fill / sites, border: border / rows, step: step / rows };
}

/** Everything that one seed needs of an opened model. */
class InpaintingBench implements Disposable {
  readonly #painter: Painter;
  readonly #device: Device;
  readonly #opened: Disposable[];

  constructor(painter: Painter, device: Device) {
    this.#painter = painter;
    this.#device = device;
    this.#opened = [painter.generator];
  }

  /** Compiled programs and the generator. */
  async open() {
    const { tokenizer, generator, weights } = this.#painter;
    const prepared = { device: this.#device, weights, prepack: false };
    const tokenize = await compile(tokenizeGraph(tokenizer), prepared);
    const reconstruct = await compile(reconstructGraph(tokenizer), prepared);
    const decode = await compile(decodeGraph(tokenizer), prepared);
    this.#opened.push(tokenize, reconstruct, decode);
    const { plan, vq, config } = tokenizer;
    const shape = [config.zChannels, vq.side, vq.side] as const;
    const { imageSize } = tokenizer;
    return {
      ...{ plan, generator, imageSize, side: vq.side },
      ids: async (images: Float32Array, n: number) =>
        (await tokenize.run({ images: floats(images, [n, 3, imageSize, imageSize]) })).ids.data as Int32Array,
      /** Pictures [n, 3, S, S] from tokens [n * L]. */
      pictures: async (ids: Int32Array, n: number) => {
        const maps = (await reconstruct.run({ ids: ints(ids, [n, plan.length]) })).reconstructions
          .data as Float32Array; // (n, S, C, P, P)
        const [scales, size] = [plan.groups.length, shape[0] * shape[1] * shape[2]];
        const last = new Float32Array(n * size);
        for (let i = 0; i < n; i++)
          last.set(maps.subarray((i * scales + scales - 1) * size, (i + 1) * scales * size), i * size);
        return (await decode.run({ features: floats(last, [n, ...shape]) })).images.data as Float32Array;
      },
    };
  }

  [Symbol.dispose](): void {
    for (const one of this.#opened) one[Symbol.dispose]();
  }
}

type Opened = Awaited<ReturnType<InpaintingBench["open"]>>;

/** Tokens [n * L] of a generation. */
async function drawn(
  { generator, plan }: Opened,
  labels: Int32Array,
  streams: readonly RandomStream[],
  edit: KeptTokens | undefined,
  signal: AbortSignal | undefined,
): Promise<Int32Array> {
  const ids = new Int32Array(labels.length * plan.length);
  const options = { ...sampling, ...(edit && { edit }), ...(signal && { signal }) };
  for await (const { group, tokens } of generator.generate(labels, options, streams))
    for (let b = 0; b < labels.length; b++)
      ids.set(tokens.subarray(b * group.size, (b + 1) * group.size), b * plan.length + group.start);
  return ids;
}

/** One batch: kept tokens that changed, and the errors of both ways, summed over pictures. */
async function batchOf(
  opened: Opened,
  images: Float32Array,
  labels: Int32Array,
  streamsOf: () => RandomStream[],
  signal: AbortSignal | undefined,
) {
  const { plan, side, imageSize } = opened;
  const n = labels.length;
  const ids = await opened.ids(images, n);
  const edit = editPlan(plan, boxMask(side, box, true), ids);
  const kept = keptSites(edit.keep);
  const inpainted = await drawn(opened, labels, streamsOf(), edit, signal);
  const first = { ids, keep: edit.keep.map((flags, scale) => (scale === 0 ? flags : flags.map(() => 0))) };
  const independent = await drawn(opened, labels, streamsOf(), first, signal);
  const pasted = independent.map((id, i) => (kept[i % plan.length] === 1 ? (ids[i] as number) : id)); // same length
  const changed = inpainted.filter((id, i) => kept[i % plan.length] === 1 && id !== ids[i]).length;
  const [real, made, other] = [
    await opened.pictures(ids, n),
    await opened.pictures(inpainted, n),
    await opened.pictures(pasted, n),
  ];
  const [ours, theirs, own] = [made, other, real].map((all) => fillErrors(all, real, imageSize)) as [
    ReturnType<typeof fillErrors>,
    ReturnType<typeof fillErrors>,
    ReturnType<typeof fillErrors>, // three by construction
  ];
  return {
    changed,
    keptCount: n * kept.filter((flag) => flag === 1).length,
    ours,
    theirs,
    own,
    real,
    made,
    other,
  };
}

/** Held-out round trips, what was kept of them, in-painted, and with an independent right half: one row each. */
function sheet(rows: readonly Float32Array[], size: number): RgbImage {
  const pixels = rows.map((row) => floatToImages(row.subarray(0, shown * 3 * size * size), shown, size));
  const [first = new Uint8Array(0), ...others] = pixels;
  const half = first.map((value, i) => (Math.floor(i / 3) % size >= size / 2 ? 128 : value));
  const all = [first, half, ...others];
  const joined = new Uint8Array(all.length * first.length);
  for (const [i, row] of all.entries()) joined.set(row, i * first.length);
  return composeContactSheet(joined, all.length * shown, size, { columns: shown, scale: 2 });
}

async function measured(
  setting: ClaimSetting,
  painter: Painter,
  options: InpaintingOptions,
  signal: AbortSignal | undefined,
): Promise<ArmOutcome> {
  const { size: imageSize } = options;
  const set: ImageSet = await setting.openData(options.set, imageSize, "test");
  const { images, labels } = firstPictures(set, options.pictures);
  using bench = new InpaintingBench(painter, setting.device);
  const opened = await bench.open();
  const lists: Record<string, number[]> = {
    ...{ fill: [], fillIndependent: [], border: [], borderIndependent: [] },
    ...{ step: [], stepIndependent: [], stepReal: [], changed: [] },
  };
  let [picture, keptTokens]: [RgbImage | undefined, number] = [undefined, 0];
  for (const seed of options.seeds) {
    const sums = new Map(Object.keys(lists).map((name) => [name, 0]));
    const add = (name: string, value: number) => sums.set(name, (sums.get(name) ?? 0) + value);
    for (let first = 0; first < labels.length; first += chunk) {
      setting.onProgress?.(`in-painting, seed ${seed}: ${first} of ${labels.length} pictures`);
      const some = labels.slice(first, first + chunk);
      const length = 3 * imageSize * imageSize;
      const own = images.subarray(first * length, (first + some.length) * length);
      const streams = () => Array.from(some, (_, i) => RandomStream.from(seed, `inpainting/${first + i}`));
      const batch = await batchOf(opened, own, some, streams, signal);
      const share = some.length / labels.length;
      add("changed", batch.changed);
      add("fill", batch.ours.fill * share);
      add("border", batch.ours.border * share);
      add("fillIndependent", batch.theirs.fill * share);
      add("borderIndependent", batch.theirs.border * share);
      add("step", batch.ours.step * share);
      add("stepIndependent", batch.theirs.step * share);
      add("stepReal", batch.own.step * share);
      keptTokens += batch.keptCount;
      picture ??= sheet([batch.real, batch.made, batch.other], imageSize);
    }
    for (const [name, list] of Object.entries(lists)) list.push(sums.get(name) ?? 0);
  }
  return { numbers: { ...lists, keptTokens }, ...(picture && { pictures: { rows: picture } }) };
}

export const inpaintingName = "inpainting";

/** The arm; all of it is cheap enough to be computed again. `definition` holds what decides weights and pictures, as JSON. */
export function inpaintingArm(
  setting: ClaimSetting,
  options: InpaintingOptions,
  definition: object,
  open: (context: ArmContext) => Promise<Painter>,
): Arm {
  const run = async (context: ArmContext) => measured(setting, await open(context), options, context.signal);
  return {
    name: inpaintingName,
    definition: { ...definition, box, sampling, version: 3 },
    run,
    recompute: async (context) => ({ numbers: (await run(context)).numbers, tolerance: 0.02 }),
  };
}

/** Of three lists of the arm's row: nothing kept may change, and what is filled in must fit better than by chance. */
export function inpaintingMeasures(): ClaimMeasure[] {
  const told = { arms: [inpaintingName], better: "lower", headline: true } as const;
  const read = (rows: Rows, name: string) => numbersOf(rows, inpaintingName, name);
  const error = (name: string, number: string): ClaimMeasure => ({
    ...{ ...told, name, unit: "on a scale of [-1, 1]" },
    ...{ baselineName: "an independent sample in the same sites" },
    target: [{ quantity: "relativeChange", over: "every", atMost: 0 }],
    numbers: (rows) => ({ system: read(rows, number), baseline: read(rows, `${number}Independent`) }),
  });
  return [
    {
      ...told,
      ...{ name: "kept tokens that in-painting changed, by seed", unit: "tokens", baselineName: "none" },
      target: [{ quantity: "value", over: "every", atMost: 0 }],
      numbers: (rows) => ({ system: read(rows, "changed") }),
    },
    error("squared error of the filled half, by seed", "fill"),
    error("error of the step across the border, by seed", "border"),
  ];
}
