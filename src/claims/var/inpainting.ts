/**
 * Zero-shot in-painting with the shipped model: the right half of held-out pictures is made anew. Against it stand the
 * tokens of an independent sample with the same class, noise and 1 x 1 token, put into the same sites and decoded the same
 * way: residual tokens fit the coarser ones they were drawn on, so both begin with the real one, and nothing differs but
 * whether the model saw the rest of what was kept.
 */
import { boxMask, editPlan } from "../../codec/editMask.ts";
import { decodeGraph, reconstructGraph, tokenizeGraph } from "../../codec/multiScalePrograms.ts";
import { composeContactSheet } from "../../data/contactSheet.ts";
import { floatToImages } from "../../data/pixels.ts";
import type { ImageSet } from "../../data/types.ts";
import type { KeptTokens } from "../../decoding/types.ts";
import type { Arm, ArmOutcome } from "../../evaluate/claim/arms.node.ts";
import type { ClaimSetting } from "../../evaluate/claim/claim.ts";
import type { ModelFile } from "../../formats/modelFile.ts";
import type { RgbImage } from "../../formats/png.ts";
import { codebookName } from "../../regimen/multiScaleModel.ts";
import { firstPictures } from "../../regimen/observing.ts";
import { compile } from "../../runtime/program.ts";
import { floats, ints } from "../../runtime/values.ts";
import { VarGenerator } from "../../systems/var/generate.ts";
import { buildVar, varModelSchema } from "../../systems/var/varModel.ts";
import { RandomStream } from "../../tensor/random.ts";

export interface InpaintingOptions {
  /** Name of the shipped model. */
  readonly model: string;
  readonly set: string;
  readonly pictures: number;
  readonly seeds: readonly number[];
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
class InpaintingBench implements AsyncDisposable {
  readonly #file: ModelFile;
  readonly #setting: ClaimSetting;
  readonly #opened: Disposable[] = [];

  constructor(file: ModelFile, setting: ClaimSetting) {
    this.#file = file;
    this.#setting = setting;
  }

  get config() {
    return varModelSchema.parse(this.#file.description.config);
  }

  /** Compiled programs and the generator over the file's weights. */
  async open() {
    const { device } = this.#setting;
    const { weights } = this.#file;
    const { tokenizer, transformer } = buildVar(this.config);
    const prepared = { device, weights, prepack: false };
    const tokenize = await compile(tokenizeGraph(tokenizer), prepared);
    const reconstruct = await compile(reconstructGraph(tokenizer), prepared);
    const decode = await compile(decodeGraph(tokenizer), prepared);
    const generator = new VarGenerator(tokenizer, transformer, weights, codebookName, device);
    this.#opened.push(tokenize, reconstruct, decode, generator);
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

  async [Symbol.asyncDispose](): Promise<void> {
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
  for await (const { group, tokens } of generator.generate(labels, options, { streams }))
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
  options: InpaintingOptions,
  signal: AbortSignal | undefined,
): Promise<ArmOutcome> {
  const file = await setting.model(options.model);
  const { imageSize } = file.description;
  const set: ImageSet = await setting.openData(options.set, imageSize, "test");
  const { images, labels } = firstPictures(set, options.pictures);
  await using bench = new InpaintingBench(file, setting);
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

/** The arm; all of it is cheap enough to be computed again. */
export function inpaintingArm(setting: ClaimSetting, options: InpaintingOptions, sha256: string): Arm {
  return {
    name: "inpainting",
    definition: { ...options, sha256, box, sampling, version: 3 },
    run: ({ signal }) => measured(setting, options, signal),
    recompute: async ({ signal }) => ({
      numbers: (await measured(setting, options, signal)).numbers,
      tolerance: 0.02,
    }),
  };
}
