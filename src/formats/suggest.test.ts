import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { editDistance, nearest, suggestion } from "./suggest.ts";

describe("edit distance", () => {
  it.each([
    ["", "", 0],
    ["abc", "", 3],
    ["kitten", "sitting", 3],
    ["sampel", "sample", 1], // neighbours swapped
  ])("of %j and %j is %i", (a, b, distance) => expect(editDistance(a, b)).toBe(distance));

  it("is symmetric, zero only for equal strings, at most the longer length", () => {
    const text = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        const distance = editDistance(a, b);
        expect(distance).toBe(editDistance(b, a));
        expect(distance === 0).toBe(a === b);
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });
});

it("suggests only what could be meant", () => {
  expect(nearest("sinth-32", ["synth-32", "tiles-32"])).toBe("synth-32");
  expect(nearest("quite different", ["synth-32"])).toBeUndefined();
  expect(suggestion("zzzzzzzz", ["a", "b"])).toBe("There is a, b.");
  expect(suggestion("x", [])).toBe("There is none.");
});

it("lists the first of many names only", () => {
  const hint = suggestion(
    "zzzzzzzz",
    Array.from({ length: 42 }, (_, i) => `arm-${i}`),
  );
  expect(hint).toMatch(/^There is arm-0, .*, arm-19 and 22 more\.$/);
});
