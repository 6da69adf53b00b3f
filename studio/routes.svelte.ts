import { isStatic } from "./site.ts";

/** Pages of the studio by the address's hash, so that links, back and reload work on any static host. */
export const pages = {
  generate: "Generate",
  train: "Train",
  runs: "Runs",
  models: "Models",
  dynamics: "Dynamics",
  systems: "Systems",
} as const;
export type PageId = keyof typeof pages;

/** What a static site has no use for. */
const needServer: ReadonlySet<string> = new Set<PageId>(["runs", "models", "dynamics"]);

/** Pages that work here, with their titles. */
export const shownPages = (Object.entries(pages) as [PageId, string][]).filter(
  ([id]) => !(isStatic && needServer.has(id)),
);

/** `#/systems/var` is page `systems` with the rest `var`. */
export class Route {
  page: PageId = $state("generate");
  rest = $state("");

  constructor() {
    this.#read();
    window.addEventListener("hashchange", () => this.#read());
  }

  #read(): void {
    const [, page = "", rest = ""] = /^#\/([a-z]+)(?:\/(.*))?$/.exec(location.hash) ?? [];
    this.page = shownPages.find(([id]) => id === page)?.[0] ?? "generate";
    this.rest = decodeURIComponent(rest);
  }
}

export const href = (page: PageId, rest = ""): string =>
  `#/${page}${rest === "" ? "" : `/${encodeURIComponent(rest)}`}`;
