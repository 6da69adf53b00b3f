/** Configurations of the authors' code beside those of test/fixtures/golden: small reference folders, every check. */
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { parity } from "../src/parity.node.ts";

const variants = fileURLToPath(new URL("fixtures/variants/", import.meta.url));

it.each([
  ["autoformer-fixed-15min", "sines of the calendar, a column of marks that is not read"],
  ["autoformer-learned-t", "learned tables with quarters of an hour, whole-number marks"],
  ["nar-fixed-places", "a video's places as sines and cosines"],
  ["nar-frames", "a video after given frames, of which sites see the first token; generated, too"],
  ["spacetime-shift", "shift matrices in open and closed loop, their a and b not trained"],
  ["spacetime-filters", "differencing, residuals that are none, a filter before the last layer"],
  ["spacetime-layers", "a learned embedding, several layers, activations that act in place"],
])(
  "%s: %s",
  async (folder) => {
    const failed: string[] = [];
    let count = 0;
    for await (const { name, pass, error, outputs } of parity(variants + folder)) {
      count++;
      if (!pass) failed.push(`${name}: ${error ?? outputs.find((o) => !o.pass)?.reason}`);
    }
    expect(failed).toEqual([]);
    expect(count).toBeGreaterThan(0);
  },
  120_000,
);
