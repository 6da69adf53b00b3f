import { expect, test } from "vitest";
import { floats } from "../runtime/values.ts";
import {
  caseConfig,
  countArg,
  countsArg,
  numberArg,
  type ParityInputs,
  shapedInput,
  sizeKey,
} from "./parityCase.ts";
import { codeOf } from "./testing/hostile.ts";

test("a section takes what it does not say from another, but never from itself", async () => {
  const config = { a: { x: 1, y: 2 }, b: { as: "a", y: 3 }, c: { as: "d" }, d: { as: "e" }, e: { as: "d" } };
  expect(caseConfig(config, "b")).toEqual({ x: 1, y: 3 });
  for (const name of ["c", "d"]) expect(await codeOf(() => caseConfig(config, name))).toBe("PARITY_BAD_CASE");
  expect(await codeOf(() => caseConfig({ a: { as: "b" } }, "a"))).toBe("PARITY_BAD_CASE");
});

const refused = (work: () => unknown, path: string) =>
  expect(work).toThrow(expect.objectContaining({ code: "PARITY_BAD_CASE", path }));

test("arguments are numbers, with the official default where a case leaves them out", () => {
  const inputs = { args: { steps: 6, half: 0.5, none: 0, word: "x" } };
  expect(numberArg(inputs, "half", 2)).toBe(0.5);
  expect(numberArg(inputs, "absent", 2)).toBe(2);
  expect(countArg(inputs, "steps")).toBe(6);
  expect(countArg(inputs, "absent", 1, 25)).toBe(25);
  expect(countArg(inputs, "none", 0)).toBe(0);
  for (const name of ["half", "none", "word", "absent"])
    refused(() => countArg(inputs, name), `args.${name}`);
  refused(() => numberArg(inputs, "word", 2), "args.word");
});

test("lists of arguments hold whole numbers from 1 on, not too large", () => {
  const args = { sides: [1, 2, 4], word: "x", half: [0.5], none: [], far: [1e9], below: [-1], one: 3 };
  expect(countsArg({ args }, "sides")).toEqual([1, 2, 4]);
  for (const name of ["word", "half", "none", "far", "below", "one", "absent"])
    refused(() => countsArg({ args }, name), `args.${name}`);
});

test("sizes of a section and shapes of an input are what a check needs, or are named", () => {
  const section = { width: 64, depth: 0, half: 0.5 };
  expect([sizeKey(section, "width"), sizeKey(section, "depth", 0)]).toEqual([64, 0]);
  for (const name of ["depth", "half", "absent"]) refused(() => sizeKey(section, name), name);
  const inputs = { tensor: () => floats([1, 2, 3, 4], [2, 2]) } as unknown as ParityInputs; // nothing else is read
  expect(shapedInput(inputs, "x", [-1, 2]).shape).toEqual([2, 2]);
  for (const shape of [[2], [2, 3], [1, 2, 2]]) refused(() => shapedInput(inputs, "x", shape), "inputs.x");
});
