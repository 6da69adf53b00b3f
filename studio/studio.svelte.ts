/** State of the page, and what can be done with it. Components show it and call it; none holds state of its own work. */
import { maxPictures } from "../src/server/limits.ts";
import type { ModelInfo } from "../src/server/protocol.ts";
import { ApiError, offline } from "./apiError.ts";
import { type Backend, serverBackend } from "./backend.ts";
import type { DeviceInfo } from "./compute/messages.ts";
import { PageBackend } from "./compute/pageBackend.ts";
import {
  bounded,
  type FormValues,
  formOfRecipe,
  isTooMuch,
  requestOf,
  type Side,
  sideOf,
  startBox,
} from "./form.ts";
import {
  addHistory,
  clearHistory,
  fitting,
  type HistoryEntry,
  readHistory,
  removeHistory,
} from "./historyStore.ts";
import { keepSite, keepUsed } from "./offline/keep.ts";
import { decode, squarePng } from "./pictures.ts";
import { isAbort } from "./problems.ts";
import { isStatic } from "./site.ts";
import { browserKeeper } from "./storage.ts";

/** Pictures of one side as they come. */
export interface Result {
  readonly side: Side;
  /** What was asked for. */
  readonly form: FormValues;
  readonly size: number;
  readonly count: number;
  readonly labels: readonly (number | null)[];
  /** Strips of all pictures, one per scale. */
  frames: ImageBitmap[];
  /** Scales in all; 0 until known. */
  total: number;
  state: "waiting" | "running" | "finished" | "stopped" | "failed";
  pictures: readonly string[];
  grid: string;
  computedMs: number;
}

export interface Problem {
  readonly message: string;
  readonly hint: string | undefined;
  readonly code: string;
}

/** Who computes. */
export type Place = "server" | "page";

const placeKey = "nextx-place";

const randomSeed = (): number => Math.floor(Math.random() * 2 ** 32);

export class Studio {
  models = $state<ModelInfo[]>([]);
  form = $state<FormValues>({ sides: [], classes: [], count: 8, seed: 7, first: 0, edit: undefined });
  results = $state.raw<Result[]>([]);
  /** Index of the shown scale; undefined follows the newest. */
  frame = $state<number | undefined>(undefined);
  problem = $state.raw<Problem | undefined>(undefined);
  notice = $state("");
  history = $state.raw<HistoryEntry[]>([]);
  needsToken = $state(false);
  /** Who computes; a static site has no server. */
  place = $state<Place>(isStatic || browserKeeper.get(placeKey) === "page" ? "page" : "server");
  /** What computes in the page, once it has started. */
  device = $state.raw<DeviceInfo | undefined>(undefined);
  /** Share of the model that was fetched; undefined when nothing is. */
  loading = $state<number | undefined>(undefined);
  /** Whether this static site works without the network from now on. */
  isKept = $state(false);
  readonly page = new PageBackend((device) => {
    this.device = device;
    keepUsed(device.files);
  });
  #work = $state.raw<AbortController | undefined>(undefined);
  /** Until what is computed is over. */
  #running: Promise<void> = Promise.resolve();
  /** Whether there were pictures, or somebody asked for some. */
  #isBegun = false;
  #isForgetful = false;
  /** Counts what was dropped or chosen from the history: only the last one is shown. */
  #taken = 0;

  get isBusy(): boolean {
    return this.#work !== undefined;
  }

  get #backend(): Backend {
    return this.place === "page" ? this.page : serverBackend;
  }

  model(id: string | undefined): ModelInfo | undefined {
    return this.models.find((model) => model.id === id);
  }

  /** The model whose classes the form shows. */
  get first(): ModelInfo | undefined {
    return this.model(this.form.sides[0]?.model);
  }

  get steps(): number {
    return Math.max(1, ...this.results.map(({ total }) => total));
  }

  /** Reads models and history; whether they came. */
  async open(): Promise<boolean> {
    void keepSite().then((isKept) => {
      this.isKept = isKept;
    });
    this.history = await readHistory();
    return await this.#try(async () => {
      this.models = await this.#backend.listModels();
      this.needsToken = false;
      const [model] = this.models;
      if (model !== undefined && this.form.sides.length === 0) this.form.sides = [sideOf(model)];
    });
  }

  /** The newest pictures of the history, or first ones, where nothing has been shown. */
  async showFirst(): Promise<void> {
    if (this.#isBegun || this.form.sides.length === 0) return;
    this.#isBegun = true;
    if (this.place === "page") this.page.compute.warm();
    const [newest] = this.history;
    await (newest ? this.restore(newest) : this.run());
  }

  /** Lets the server or this page compute from now on. */
  async choosePlace(place: Place): Promise<void> {
    if (this.isBusy || place === this.place) return;
    this.place = place;
    browserKeeper.set(placeKey, place);
    if (place === "page") this.page.compute.warm();
    await this.refreshModels();
  }

  /** Makes pictures with one model and nothing else: what is computed is stopped, an edit and a comparison are left. */
  async show(place: Place, id: string): Promise<void> {
    this.#isBegun = true;
    await this.#stopped();
    await this.choosePlace(place);
    if (!(await this.refreshModels())) return;
    this.form.edit = undefined;
    if (this.form.sides.length > 1) this.toggleComparison();
    if (this.model(id) === undefined) {
      this.problem = {
        code: "MODEL_NOT_HERE",
        message: `${id} is not here.`,
        hint: place === "page" ? "It may be too large for a page: let the server compute." : undefined,
      };
      return;
    }
    this.choose(0, id);
    await this.run();
  }

  /** Whether the models came. */
  refreshModels(): Promise<boolean> {
    return this.#try(async () => {
      this.models = await this.#backend.listModels();
      const [model] = this.models;
      if (model !== undefined && this.form.sides.length === 0) this.form.sides = [sideOf(model)];
      this.#chooseKnown();
    });
  }

  /** Sides whose model is not here get the first one that is. */
  #chooseKnown(): void {
    const [first] = this.models;
    if (first === undefined) return;
    for (const [i, { model }] of this.form.sides.entries())
      if (this.model(model) === undefined) this.choose(i, first.id);
  }

  /** Chooses a side's model; settings that both systems have keep their values. */
  choose(index: number, id: string): void {
    const [side, model] = [this.form.sides[index], this.model(id)];
    if (side === undefined || model === undefined) return;
    const same = this.model(side.model)?.system === model.system;
    const settings = same ? { ...model.defaults, ...side.settings } : { ...model.defaults };
    this.form.sides[index] = { model: id, settings };
    const others = this.form.sides.some((other) => this.model(other.model)?.imageSize !== model.imageSize);
    if (others && this.form.edit) this.form.edit = undefined; // the picture to edit has one model's size
    this.form.classes = this.form.classes.filter((label) => label < model.classNames.length);
  }

  toggleComparison(): void {
    const [first, second] = this.form.sides;
    if (first === undefined) return;
    this.form.sides = second ? [first] : [first, { model: first.model, settings: { ...first.settings } }];
  }

  toggleClass(label: number): void {
    const { classes } = this.form;
    if (!classes.includes(label) && classes.length >= maxPictures) {
      this.notice = `${maxPictures} classes at most.`;
      return;
    }
    this.form.classes = classes.includes(label)
      ? classes.filter((other) => other !== label)
      : [...classes, label].sort((a, b) => a - b);
  }

  newSeed(): void {
    this.form.seed = randomSeed();
    this.form.first = 0;
  }

  cancel(): void {
    this.#work?.abort();
  }

  /** Until nothing is computed any more. */
  async #stopped(): Promise<void> {
    this.cancel();
    await this.#running;
  }

  /** Makes what the form says; both sides of a comparison use the same seed, classes and count. */
  async run(): Promise<void> {
    if (this.isBusy || this.form.sides.length === 0) return;
    this.#isBegun = true;
    const controller = new AbortController();
    this.#work = controller;
    this.#running = this.#run(controller);
    await this.#running;
  }

  async #run(controller: AbortController): Promise<void> {
    const form = bounded($state.snapshot(this.form) as FormValues); // plain data
    this.problem = undefined;
    this.notice = "";
    this.frame = undefined;
    this.#showResults(form.sides.map((side) => this.#emptyResult(form, side)));
    try {
      await this.#try(() =>
        Promise.all(form.sides.map((side, i) => this.#side(i, form, side, controller.signal))),
      );
    } finally {
      this.#work = undefined;
      this.loading = undefined;
    }
    if (this.results.every(({ state }) => state === "finished")) {
      this.notice = readyText(form);
      await this.#remember(form);
      return;
    }
    const state = this.problem === undefined ? "stopped" : "failed";
    this.results = this.results.map((one) => (one.state === "finished" ? one : { ...one, state }));
    if (state === "stopped") this.notice = "Stopped.";
  }

  /** Shows other pictures; those of before leave the memory. */
  #showResults(results: Result[]): void {
    const before = this.results;
    this.results = results;
    for (const { frames } of before) for (const frame of frames) frame.close();
  }

  /** Shows an entry of the history and puts its values into the form. */
  async restore({ form, results }: HistoryEntry): Promise<void> {
    if (this.isBusy) return;
    const mine = ++this.#taken;
    this.problem = undefined;
    this.form = structuredClone(form);
    await this.#try(async () => {
      const found = await Promise.all(
        results.map(async ({ grid, pictures }, i) => {
          const empty = this.#emptyResult(form, form.sides[i] as Side); // one result per side
          const frames = [await stack(await Promise.all(pictures.map(decode)))];
          return { ...empty, frames, total: 1, state: "finished" as const, pictures, grid };
        }),
      );
      if (this.isBusy || mine !== this.#taken) return; // something newer came
      this.#showResults(found);
      this.frame = undefined;
      this.#chooseKnown();
    });
  }

  async forget({ id }: HistoryEntry): Promise<void> {
    await removeHistory(id);
    this.history = this.history.filter((entry) => entry.id !== id);
  }

  async forgetAll(): Promise<void> {
    await clearHistory();
    this.history = [];
  }

  /** A dropped file: a picture with a recipe restores the form, any other becomes the source of an edit. */
  async take(file: File): Promise<void> {
    const mine = ++this.#taken;
    await this.#stopped();
    await this.#try(async () => {
      try {
        const { recipe, model: id } = await this.#backend.readRecipe(file);
        await this.#stopped(); // what was begun meanwhile
        if (mine !== this.#taken) return;
        const model = this.model(id ?? undefined);
        if (model === undefined) {
          this.problem = {
            code: "MODEL_NOT_HERE",
            message: `${file.name} was made with ${recipe.model}, which is not here.`,
            hint: isStatic ? undefined : "Start the server with that model: nextx serve FILE",
          };
          return;
        }
        this.form = formOfRecipe(recipe, model);
        if (isTooMuch(this.form)) {
          this.problem = {
            code: "RECIPE_TOO_MANY",
            message: `${file.name} has ${recipe.labels.length} pictures; ${maxPictures} are made at once here.`,
            hint: `Its seed and settings are in the form: ask for ${maxPictures} at most, or make it again with nextx reproduce.`,
          };
          return;
        }
        await this.run();
        this.notice = `The recipe of ${file.name} is in the form.`;
      } catch (error) {
        if (!(error instanceof ApiError) || !/^PNG_(NO_RECIPE|NOT_PNG)$/.test(error.code)) throw error;
        await this.edit(file);
        this.notice = `${file.name} carries no recipe: draw a box to change a part of it.`;
      }
    });
  }

  /** Makes a picture the source of an edit. */
  async edit(file: Blob): Promise<void> {
    const size = this.first?.imageSize;
    if (size === undefined) return;
    await this.#try(async () => {
      this.form.edit = { png: await squarePng(file, size), box: { ...startBox }, where: "inside" };
    });
  }

  #emptyResult(form: FormValues, side: Side): Result {
    const { count, classes, first, edit } = form;
    const { imageSize = 32, classNames = [] } = this.model(side.model) ?? {};
    const labels = Array.from({ length: count }, (_, i) => {
      if (classes.length > 0) return classes[i % classes.length] as number; // not empty
      return edit ? null : (first + i) % Math.max(1, classNames.length);
    });
    const empty = { frames: [], total: 0, state: "waiting" as const, pictures: [], grid: "", computedMs: 0 };
    return { side, form, size: imageSize, count, labels, ...empty };
  }

  #update(index: number, change: Partial<Result>): void {
    this.results = this.results.map((result, i) => (i === index ? { ...result, ...change } : result));
  }

  async #side(index: number, form: FormValues, side: Side, signal: AbortSignal): Promise<void> {
    for await (const event of this.#backend.generate(requestOf(form, side), signal)) {
      this.loading = event.kind === "loading" ? event.done / event.total : undefined;
      if (event.kind === "started") this.#update(index, { state: "running", frames: [] });
      if (event.kind === "preview") {
        const frames = [...(this.results[index]?.frames ?? []), await decode(event.strip)];
        this.#update(index, { frames, total: event.total });
      }
      if (event.kind === "finished") {
        const { pictures, grid, computedMs } = event;
        this.#update(index, { state: "finished", pictures, grid, computedMs });
      }
      if (event.kind === "failed") {
        this.#update(index, { state: "failed" });
        throw new ApiError(event.error);
      }
    }
    const isOver = signal.aborted || this.results[index]?.state === "finished";
    if (!isOver) throw offline("The pictures ended before they were finished.");
  }

  async #remember(form: FormValues): Promise<void> {
    const results = this.results.map(({ side, grid, pictures }) => ({ model: side.model, grid, pictures }));
    const entry = { id: Date.now(), form, results };
    const isKnown = (one: HistoryEntry | undefined) =>
      JSON.stringify([one?.form, one?.results.map(({ grid }) => grid)]) ===
      JSON.stringify([form, results.map(({ grid }) => grid)]);
    if (isKnown(this.history[0])) return;
    this.history = fitting([entry, ...this.history]);
    if ((await addHistory(entry)) || this.#isForgetful) return;
    this.#isForgetful = true; // told once
    this.notice = `${this.notice} This browser keeps no history: save what you want to have again.`;
  }

  /** Whether it went well; what did not is told. */
  async #try(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (isAbort(error)) return false;
      this.needsToken ||= error instanceof ApiError && error.code === "AUTH_TOKEN_NEEDED";
      const { message } = error as Error; // only errors are thrown
      const known = error instanceof ApiError ? error : undefined;
      this.problem = { message, hint: known?.hint, code: known?.code ?? "PAGE" };
      this.#work?.abort();
      return false;
    }
  }
}

/** What is told when everything is there. */
function readyText({ count, sides }: FormValues): string {
  const pictures = count === 1 ? "1 picture" : `${count} pictures`;
  return sides.length > 1
    ? `${pictures} of each are ready.`
    : `${pictures} ${count === 1 ? "is" : "are"} ready.`;
}

/** Pictures below each other, as previews come. */
async function stack(bitmaps: readonly ImageBitmap[]): Promise<ImageBitmap> {
  const [first] = bitmaps;
  const canvas = new OffscreenCanvas(first?.width ?? 1, (first?.height ?? 1) * Math.max(1, bitmaps.length));
  const context = canvas.getContext("2d");
  for (const [i, bitmap] of bitmaps.entries()) context?.drawImage(bitmap, 0, i * bitmap.height);
  return canvas.transferToImageBitmap();
}
