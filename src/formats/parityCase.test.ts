import { expect, test } from "vitest";
import { caseConfig } from "./parityCase.ts";
import { codeOf } from "./testing/hostile.ts";

test("a section takes what it does not say from another, but never from itself", async () => {
  const config = { a: { x: 1, y: 2 }, b: { as: "a", y: 3 }, c: { as: "d" }, d: { as: "e" }, e: { as: "d" } };
  expect(caseConfig(config, "b")).toEqual({ x: 1, y: 3 });
  for (const name of ["c", "d"]) expect(await codeOf(() => caseConfig(config, name))).toBe("PARITY_BAD_CASE");
  expect(await codeOf(() => caseConfig({ a: { as: "b" } }, "a"))).toBe("PARITY_BAD_CASE");
});
