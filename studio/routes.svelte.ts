/** Pages of the studio by the address's hash, so that links, back and reload work on any static host. */
export const pages = { generate: "Generate", dynamics: "Dynamics", systems: "Systems" } as const;
export type PageId = keyof typeof pages;

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
    this.page = Object.hasOwn(pages, page) ? (page as PageId) : "generate";
    this.rest = decodeURIComponent(rest);
  }
}

export const href = (page: PageId, rest = ""): string =>
  `#/${page}${rest === "" ? "" : `/${encodeURIComponent(rest)}`}`;
