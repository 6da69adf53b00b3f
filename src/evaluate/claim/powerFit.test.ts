import { expect, it } from "vitest";
import { powerFit } from "./powerFit.ts";

it("finds an exact power law, with no error", () => {
  const x = [1, 3, 10, 40];
  const fit = powerFit(
    x,
    x.map((value) => 5 * value ** -0.2),
  );
  expect(fit.exponent).toBeCloseTo(-0.2, 12);
  expect(fit.factor).toBeCloseTo(5, 12);
  expect(fit.correlation).toBeCloseTo(-1, 12);
  expect(fit.standardError).toBeLessThan(1e-7);
});

it("says how sure it is of a noisy one: the textbook's standard error", () => {
  // ln x = 0, 1, 2, 3 and ln y = 0, 1, 1, 2: slope 0.6, residuals sum to 0.2, error sqrt(0.1 / 5).
  const fit = powerFit([0, 1, 2, 3].map(Math.exp), [0, 1, 1, 2].map(Math.exp));
  expect(fit.exponent).toBeCloseTo(0.6, 12);
  expect(fit.standardError).toBeCloseTo(Math.sqrt(0.02), 12);
  expect(fit.correlation).toBeCloseTo(3 / Math.sqrt(10), 12);
});

it.each([
  [[1], [1]],
  [
    [2, 2],
    [1, 3],
  ],
  [
    [1, 2],
    [1, 0],
  ],
  [
    [1, 2, 3],
    [1, 2],
  ],
])("refuses %j against %j", (x, y) => {
  expect(() => powerFit(x, y)).toThrow(expect.objectContaining({ code: "CLAIM_BAD_FIT" }));
});

it("of a constant has no correlation", () => {
  expect(powerFit([1, 2, 4], [3, 3, 3])).toMatchObject({ exponent: 0, correlation: 0 });
});
