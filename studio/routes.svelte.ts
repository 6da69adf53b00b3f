import { decoded } from "./decoded.ts";
import { isStatic } from "./site.ts";

/** Pages of the studio by the address's hash, so that links, back and reload work on any static host. */
export const pages = {
  generate: "Generate",
  train: "Train",
  runs: "Runs",
  models: "Models",
  dynamics: "Dynamics",
  systems: "Systems",
  arena: "Arena",
} as const;
export type PageId = keyof typeof pages;

/** What a static site has no use for. */
const needServer: ReadonlySet<string> = new Set<PageId>(["runs", "models"]);

/** Pages whose data are not there yet. */
const empty = $state<PageId[]>(["arena"]);

/** Shows a page whose data are there, or hides one that can do nothing here. */
export function setShown(id: PageId, isShown: boolean): void {
  const at = empty.indexOf(id);
  if (isShown && at >= 0) empty.splice(at, 1);
  if (!isShown && at < 0) empty.push(id);
}

/** Pages that work here, with their titles. */
export const shownPages = (): [PageId, string][] =>
  (Object.entries(pages) as [PageId, string][]).filter(
    ([id]) => !(isStatic && needServer.has(id)) && !empty.includes(id),
  );

/** `#/systems/var` is page `systems` with the rest `var`. */
export class Route {
  page: PageId = $state("generate");
  rest = $state("");

  constructor() {
    this.#read();
    window.addEventListener("hashchange", () => this.#read());
  }

  /** Reads the address again: a page of its name may have come. */
  refresh(): void {
    this.#read();
  }

  #read(): void {
    const [, page = "", rest = ""] = /^#\/([a-z]+)(?:\/(.*))?$/.exec(location.hash) ?? [];
    this.page = shownPages().find(([id]) => id === page)?.[0] ?? "generate";
    this.rest = decoded(rest);
  }
}

export const href = (page: PageId, rest = ""): string =>
  `#/${page}${rest === "" ? "" : `/${encodeURIComponent(rest)}`}`;
