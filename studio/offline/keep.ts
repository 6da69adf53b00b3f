/** A static site that stays on the device: registers its service worker and tells it what is used. */
import { isStatic } from "../site.ts";
import type { KeepMessage } from "./siteFiles.ts";

const canKeep = isStatic && "serviceWorker" in navigator;

/** Resolves to true when the site works without the network from now on, to false where it is not kept. */
export async function keepSite(): Promise<boolean> {
  if (!canKeep) return false;
  try {
    const registration = await navigator.serviceWorker.register(new URL("sw.js", document.baseURI), {
      updateViaCache: "none",
    });
    if (registration.active) return true;
    const worker = registration.installing ?? registration.waiting;
    if (worker === null) return false;
    return await new Promise<boolean>((resolve) => {
      const look = () => {
        if (worker.state === "activated") resolve(true);
        else if (worker.state === "redundant") resolve(false); // no room, or a file that is not as it was built
      };
      worker.addEventListener("statechange", look);
      look();
    });
  } catch {
    return false; // private windows and browsers that forbid it: the site works, with the network
  }
}

/** Keeps files of the site, too. */
export function keepUsed(urls: readonly string[]): void {
  if (!canKeep) return;
  const message: KeepMessage = { kind: "keep", urls };
  void navigator.serviceWorker.ready.then(({ active }) => active?.postMessage(message));
}
