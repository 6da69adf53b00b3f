/** What the story says in words. */
import { expect, it } from "vitest";
import type { SampleRecipe } from "../sampleRecipe.ts";
import { refinedText, verdict } from "./story.ts";
import { terminalRow } from "./storyPictures.ts";

const look = (step: number, divergence: number, agreement: number, loss: number) => ({
  ...({ kind: "held-out", step, elapsedMs: 100 * step, pictures: 64 } as const),
  ...{ loss, agreement, divergence },
});

it("a taste is told by the first and the last look at the same pictures", () => {
  const text = refinedText([look(0, 1.886, 0.531, 1.272), look(4, 2, 0.5, 1.3), look(9, 1.8, 0.54, 1.274)]);
  expect(text).toContain("9 steps");
  expect(text).toContain("64 held-out pictures");
  expect(text).toContain("1.886 to 1.800");
  expect(text).toContain("53.1 to 54.0 %");
  expect(text).toContain("1.272 to 1.274");
  expect(refinedText([look(0, 1, 1, 1)])).toBeUndefined();
});

it("the verdict sets what was measured beside the recorded change at the same setting", () => {
  const compared = { kind: "compared", network: "net", change: -0.1, standardError: 0.01 } as const;
  expect(verdict({ ...compared, recorded: -0.059 })).toBe(
    "Refined against trained on: -10.0 %; the claim measured -5.9 % without guidance, mean over its seeds.",
  );
  expect(verdict({ ...compared, change: 0.1, recorded: -0.059 })).toContain("THE SIGN DIFFERS");
  const noisy = verdict({ ...compared, change: 0.1, standardError: 0.2, recorded: -0.059 });
  expect(noisy).not.toContain("THE SIGN DIFFERS");
  expect(noisy).toContain("--samples");
  expect(verdict(compared)).toBe("Refined against trained on: -10.0 %.");
});

it("a row of pictures is as wide as the terminal has room for, at half its size", () => {
  const pixels = new Uint8Array(8 * 32 * 32 * 3).fill(90);
  const recipe = { labels: [0, 1, 2, 3, 4, 5, 6, 7] } as unknown as SampleRecipe;
  const row = { kind: "pictures", role: "base", recipe, classes: [], size: 32, pixels } as const;
  const widths = [10, 80, 100, 500].map((columns) => {
    const [line = ""] = terminalRow(row, columns).split("\n");
    return [...line.matchAll(/▀/g)].length;
  });
  expect(widths).toEqual([18, 69, 86, 137]); // 1, 4, 5 and all 8 pictures
});
