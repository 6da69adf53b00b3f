/** Small values that the browser keeps; where it allows nothing, until the page is closed. */

export interface Keeper {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
}

/** `open` may throw, as may whatever it gives: private windows, blocked site data, a full quota. */
export function keeperOf(open: () => Pick<Storage, "getItem" | "setItem">): Keeper {
  const here = new Map<string, string>();
  return {
    get(key) {
      if (here.has(key)) return here.get(key);
      try {
        return open().getItem(key) ?? undefined;
      } catch {
        return undefined; // nothing is kept here
      }
    },
    set(key, value) {
      here.set(key, value);
      try {
        open().setItem(key, value);
      } catch {
        // kept until the page is closed
      }
    },
  };
}

/** For this browser. */
export const browserKeeper = keeperOf(() => localStorage);

/** For this tab. */
export const tabKeeper = keeperOf(() => sessionStorage);
