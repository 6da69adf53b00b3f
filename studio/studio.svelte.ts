/** State of the page, and what can be done with it. Components show it and call it; none holds state of its own work. */
import type { ModelInfo } from "../src/server/protocol.ts";
import { ApiError } from "./api.ts";
import { type Backend, serverBackend } from "./backend.ts";
import type { DeviceInfo } from "./compute/messages.ts";
import { PageBackend } from "./compute/pageBackend.ts";
import { type FormValues, formOfRecipe, maxSeed, requestOf, type Side, sideOf, startBox } from "./form.ts";
import { addHistory, clearHistory, type HistoryEntry, readHistory } from "./historyStore.ts";
import { keepSite, keepUsed } from "./offline/keep.ts";
import { decode, squarePng } from "./pictures.ts";
import { isStatic } from "./site.ts";

/** Pictures of one side as they come. */
export interface Result {
  readonly side: Side;
  readonly size: number;
  readonly count: number;
  readonly labels: readonly (number | null)[];
  /** Strips of all pictures, one per scale. */
  frames: ImageBitmap[];
  /** Scales in all; 0 until known. */
  total: number;
  state: "waiting" | "running" | "finished" | "failed";
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
  place = $state<Place>(isStatic || localStorage.getItem(placeKey) === "page" ? "page" : "server");
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

  /** Reads models and history, and makes first pictures. */
  async start(): Promise<void> {
    if (this.place === "page") this.page.compute.warm();
    void keepSite().then((isKept) => {
      this.isKept = isKept;
    });
    this.history = await readHistory();
    await this.#try(async () => {
      this.models = await this.#backend.listModels();
      this.needsToken = false;
      const [model] = this.models;
      if (model === undefined) return;
      this.form.sides = [sideOf(model)];
      await this.run();
    });
  }

  /** Lets the server or this page compute from now on. */
  async choosePlace(place: Place): Promise<void> {
    if (this.isBusy || place === this.place) return;
    this.place = place;
    localStorage.setItem(placeKey, place);
    if (place === "page") this.page.compute.warm();
    await this.refreshModels();
  }

  /** Makes pictures with a model that only this page has. */
  async useOwn(id: string): Promise<void> {
    if (this.isBusy) return;
    await this.choosePlace("page");
    await this.refreshModels();
    this.form.edit = undefined;
    if (this.form.sides.length > 1) this.toggleComparison();
    this.choose(0, id);
    await this.run();
  }

  async refreshModels(): Promise<void> {
    await this.#try(async () => {
      this.models = await this.#backend.listModels();
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

  /** Makes what the form says; both sides of a comparison use the same seed, classes and count. */
  async run(): Promise<void> {
    if (this.isBusy || this.form.sides.length === 0) return;
    const form = $state.snapshot(this.form) as FormValues; // plain data
    form.seed = Math.min(maxSeed, Math.max(0, Math.floor(form.seed) || 0));
    const controller = new AbortController();
    this.#work = controller;
    this.problem = undefined;
    this.notice = "";
    this.frame = undefined;
    this.results = form.sides.map((side) => this.#emptyResult(form, side));
    try {
      await this.#try(() =>
        Promise.all(form.sides.map((side, i) => this.#side(i, form, side, controller.signal))),
      );
    } finally {
      this.#work = undefined;
      this.loading = undefined;
    }
    if (controller.signal.aborted) this.notice = "Stopped.";
    else if (this.results.every(({ state }) => state === "finished")) await this.#remember(form);
  }

  /** Shows an entry of the history and puts its values into the form. */
  async restore({ form, results }: HistoryEntry): Promise<void> {
    if (this.isBusy) return;
    this.form = structuredClone(form);
    await this.#try(async () => {
      this.results = await Promise.all(
        results.map(async ({ grid, pictures }, i) => {
          const empty = this.#emptyResult(form, form.sides[i] as Side); // one result per side
          const frames = [await stack(await Promise.all(pictures.map(decode)))];
          return { ...empty, frames, total: 1, state: "finished" as const, pictures, grid };
        }),
      );
      this.frame = undefined;
      this.#chooseKnown();
    });
  }

  async forgetAll(): Promise<void> {
    await clearHistory();
    this.history = [];
  }

  /** A dropped file: a picture with a recipe restores the form, any other becomes the source of an edit. */
  async take(file: File): Promise<void> {
    if (this.isBusy) return;
    await this.#try(async () => {
      try {
        const { recipe, model: id } = await this.#backend.readRecipe(file);
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

  #emptyResult({ count, classes, first, edit }: FormValues, side: Side): Result {
    const { imageSize = 32, classNames = [] } = this.model(side.model) ?? {};
    const labels = Array.from({ length: count }, (_, i) => {
      if (classes.length > 0) return classes[i % classes.length] as number; // not empty
      return edit ? null : (first + i) % Math.max(1, classNames.length);
    });
    const empty = { frames: [], total: 0, state: "waiting" as const, pictures: [], grid: "", computedMs: 0 };
    return { side, size: imageSize, count, labels, ...empty };
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
  }

  async #remember(form: FormValues): Promise<void> {
    const results = this.results.map(({ side, grid, pictures }) => ({ model: side.model, grid, pictures }));
    const entry = { id: Date.now(), form, results };
    if (JSON.stringify(this.history[0]?.form) === JSON.stringify(form)) return;
    this.history = [entry, ...this.history].slice(0, 60);
    await addHistory(entry);
  }

  async #try(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      this.needsToken ||= error instanceof ApiError && error.code === "AUTH_TOKEN_NEEDED";
      const { message } = error as Error; // only errors are thrown
      const known = error instanceof ApiError ? error : undefined;
      this.problem = { message, hint: known?.hint, code: known?.code ?? "PAGE" };
      this.#work?.abort();
    }
  }
}

/** Pictures below each other, as previews come. */
async function stack(bitmaps: readonly ImageBitmap[]): Promise<ImageBitmap> {
  const [first] = bitmaps;
  const canvas = new OffscreenCanvas(first?.width ?? 1, (first?.height ?? 1) * Math.max(1, bitmaps.length));
  const context = canvas.getContext("2d");
  for (const [i, bitmap] of bitmaps.entries()) context?.drawImage(bitmap, 0, i * bitmap.height);
  return canvas.transferToImageBitmap();
}
