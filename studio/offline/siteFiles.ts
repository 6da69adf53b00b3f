/** The list of a static site's files that `nextx studio build` puts before the service worker's code. */

export interface SiteFile {
  /** Relative to the site. */
  readonly path: string;
  readonly type: string;
  /** Of its bytes, hexadecimal. */
  readonly sha256: string;
  /** Kept at the first visit; others when they are used. */
  readonly core: boolean;
}

/** From the page: these are used, keep them. Absolute addresses. */
export interface KeepMessage {
  readonly kind: "keep";
  readonly urls: readonly string[];
}
