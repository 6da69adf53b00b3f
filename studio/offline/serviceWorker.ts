/**
 * Keeps a static site on the device: what a page starts with at the first visit, runtimes and models when they are used.
 * Every file is checked against the list it was built with, so a site is never half old and half new. Pages from here are
 * cross-origin isolated, which gives them threads on hosts that send no such headers.
 */
import type { KeepMessage, SiteFile } from "./siteFiles.ts";

interface WaitingEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface FetchEvent extends Event {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
interface KeepEvent extends WaitingEvent {
  readonly data: KeepMessage;
}
/** The part of a service worker's global scope that is used here; the DOM's types lack it. */
interface Scope {
  readonly nextxFiles: readonly SiteFile[];
  readonly nextxPolicy: string;
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  addEventListener(type: "install" | "activate", listener: (event: WaitingEvent) => void): void;
  addEventListener(type: "fetch", listener: (event: FetchEvent) => void): void;
  addEventListener(type: "message", listener: (event: KeepEvent) => void): void;
}
const scope = self as unknown as Scope;

/** Sent with every file that is kept. */
const isolation = {
  "Content-Security-Policy": scope.nextxPolicy, // of a worker too, which takes none from its page
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

const site = scope.registration.scope;
const urlOf = ({ path }: SiteFile): string => new URL(path, site).href;
/** Content has a name of its own: the same bytes are kept once, whichever version of the site has them. */
const keyOf = ({ sha256 }: SiteFile): string => new URL(`.kept/${sha256}`, site).href;
const byUrl = new Map(scope.nextxFiles.map((file) => [urlOf(file), file]));
const first = byUrl.get(new URL("index.html", site).href);
if (first) byUrl.set(site, first);

const openCache = (): Promise<Cache> => caches.open(`nextx ${site}`);

async function hasHash(bytes: ArrayBuffer, { sha256 }: SiteFile): Promise<boolean> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === sha256;
}

/** The file from the network, as it was built. What the browser's own cache has may be older: then it is asked again. */
async function fetchChecked(file: SiteFile): Promise<Response> {
  for (const cache of ["default", "reload"] as const) {
    const response = await fetch(urlOf(file), { cache });
    if (!response.ok) throw new Error(`${file.path}: ${response.status}`);
    const bytes = await response.arrayBuffer();
    if (await hasHash(bytes, file))
      return new Response(bytes, { headers: { "Content-Type": file.type, ...isolation } });
  }
  throw new Error(`${file.path} is not what the site was built with.`);
}

async function keep(file: SiteFile): Promise<void> {
  const cache = await openCache();
  if ((await cache.match(keyOf(file))) === undefined) await cache.put(keyOf(file), await fetchChecked(file));
}

async function answer(file: SiteFile): Promise<Response> {
  const cache = await openCache();
  const kept = await cache.match(keyOf(file));
  if (kept) return kept;
  const fresh = await fetchChecked(file);
  await cache.put(keyOf(file), fresh.clone()).catch(() => undefined); // no room: it is fetched again next time
  return fresh;
}

async function forgetOld(): Promise<void> {
  const cache = await openCache();
  const wanted = new Set(scope.nextxFiles.map(keyOf));
  for (const { url } of await cache.keys()) if (!wanted.has(url)) await cache.delete(url);
}

scope.addEventListener("install", (event) =>
  event.waitUntil(
    (async () => {
      for (const file of scope.nextxFiles) if (file.core) await keep(file);
    })(),
  ),
);
scope.addEventListener("activate", (event) =>
  event.waitUntil(Promise.all([forgetOld(), scope.clients.claim()])),
);
scope.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  const file = method === "GET" ? byUrl.get(url.replace(/[?#].*$/, "")) : undefined;
  if (file) event.respondWith(answer(file));
});
scope.addEventListener("message", (event) => {
  const files = event.data.urls.flatMap((url) => byUrl.get(url) ?? []);
  event.waitUntil(Promise.allSettled(files.map(keep))); // what does not fit is fetched when it is needed
});
