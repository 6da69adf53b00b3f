import { describe, expect, it } from "vitest";
import type { HostTensor } from "../formats/hostTensor.ts";
import { caseSchema, type ParityCheck, type ParityTable } from "../formats/parityCase.ts";
import { floats, ints } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import { compareOutput, runCheck } from "./parity.ts";

const reference = (values: readonly number[], shape = [values.length]): HostTensor => ({
  dtype: "F32",
  shape,
  data: Float32Array.from(values),
});
const whole = (values: readonly number[]): HostTensor => ({
  dtype: "I64",
  shape: [values.length],
  data: BigInt64Array.from(values, BigInt),
});

describe("an output", () => {
  it("passes within atol + rtol |b| and says how far it is off", () => {
    const result = compareOutput("y", floats([1.001, -2], [2]), reference([1, -2]), 1e-3, 1e-3);
    expect(result).toMatchObject({ pass: true, reason: "" });
    expect(result.maxAbs).toBeCloseTo(1e-3, 6);
  });

  it.each([
    ["a changed number", floats([1.1, -2], [2]), /element 0/],
    ["a changed last number", floats([1, -2.1], [2]), /element 1/],
    ["NaN", floats([1, Number.NaN], [2]), /NaN/],
    ["infinity", floats([1, Number.POSITIVE_INFINITY], [2]), /element 1/],
    ["another shape", floats([1, -2], [1, 2]), /shape/],
    ["another length", floats([1], [2]), /elements/],
    ["nothing", undefined, /no such output/],
  ])("fails with %s", (_, actual, reason) => {
    const result = compareOutput("y", actual, reference([1, -2]), 1e-3, 1e-3);
    expect(result.pass).toBe(false);
    expect(result.reason).toMatch(reason);
  });

  it("fails when only the reference is infinite, whatever the tolerance", () => {
    const infinite = reference([Number.POSITIVE_INFINITY, -2]);
    expect(compareOutput("y", floats([1, -2], [2]), infinite, 1, 1).pass).toBe(false);
    expect(compareOutput("y", floats([Number.POSITIVE_INFINITY, -2], [2]), infinite, 1, 1).pass).toBe(true);
  });

  it("fails when the reference is NaN, whatever came", () => {
    expect(compareOutput("y", floats([Number.NaN], [1]), reference([Number.NaN]), 1, 1).pass).toBe(false);
  });

  it("compares integers exactly, however wide the tolerance", () => {
    expect(compareOutput("y", ints([5, 7], [2]), whole([5, 7]), 10, 10).pass).toBe(true);
    expect(compareOutput("y", ints([5, 8], [2]), whole([5, 7]), 10, 10).pass).toBe(false);
    expect(compareOutput("y", ints([5, 8], [2]), reference([5, 8.001]), 10, 10).pass).toBe(false);
    expect(compareOutput("y", ints([5, 8], [2]), reference([5, 8]), 10, 10).pass).toBe(true);
  });
});

describe("a check", () => {
  const tensors = new Map([
    ["out.y", reference([1, 2])],
    ["out.empty", reference([])],
  ]);
  const table: ParityTable = {
    double: async () => ({ y: floats([1, 2], [2]) }),
    empty: async () => ({ y: floats([], [0]) }),
    wrong: async ({ args }) => ({ y: floats(new Array(Number(args.count)).fill(0), [2]) }),
    broken: async () => {
      throw new NextxError("SOME_CODE", "it broke");
    },
  };
  const check = (over: object) =>
    runCheck(
      {
        name: "n",
        run: "double",
        inputs: {},
        args: {},
        outputs: { y: "out.y" },
        atol: 1e-4,
        rtol: 1e-3,
        ...over,
      },
      tensors,
      table,
    );

  it("passes when every output does", async () => {
    expect(await check({})).toMatchObject({ pass: true });
  });

  it.each([
    ["an unknown run", { run: "triple" }, /PARITY_UNKNOWN_RUN: unknown run "triple"/],
    ["a run named like an object's property", { run: "constructor" }, /unknown run/],
    ["a run that throws", { run: "broken" }, /SOME_CODE/],
    ["no outputs", { outputs: {} }, /PARITY_NO_OUTPUTS/],
    ["empty outputs", { run: "empty", outputs: { y: "out.empty" } }, /PARITY_NO_OUTPUTS/],
    ["arguments that nothing can be computed from", { run: "wrong", args: { count: -1 } }, /PARITY_BAD_CASE/],
    ["a missing reference", { outputs: { y: "out.z" } }, /PARITY_MISSING_TENSOR/],
    ["results of another kind", { expected: { calls: 3 } }, /PARITY_NO_RESULTS: .*expected/],
  ])("fails with %s", async (_, over, error) => {
    const result = await check(over);
    expect(result.pass).toBe(false);
    expect(result.error).toMatch(error);
  });

  it("fails when one of two outputs is not given", async () => {
    const result = await check({ outputs: { y: "out.y", z: "out.y" } });
    expect(result.pass).toBe(false);
    expect(result.outputs.map(({ pass }) => pass)).toEqual([true, false]);
  });
});

it("a check reads the inputs of the one it builds on: the nearest before it", async () => {
  const common = { args: {}, atol: 0, rtol: 0 };
  const source = (name: string, key: string): ParityCheck => ({
    ...{ name, run: "source", inputs: { x: key }, outputs: { y: key } },
    ...common,
  });
  const built = { name: "b", run: "built", inputs: {}, outputs: { y: "two" }, ...common };
  const tensors = new Map(["one", "two", "three"].map((key, i) => [key, reference([i])]));
  const table: ParityTable = {
    source: async ({ tensor }) => ({ y: tensor("x") }),
    built: async ({ related }) => ({ y: related("source").tensor("x") }),
  };
  const checks = [source("a", "one"), source("a2", "two"), built, source("c", "three")];
  expect(await runCheck(built, tensors, table, checks)).toMatchObject({ pass: true });
  expect(await runCheck(built, tensors, table, [built])).toMatchObject({
    pass: false,
    error: expect.stringContaining("PARITY_MISSING_CHECK"),
  });
});

it("a case without checks is refused", () => {
  const empty = {
    system: "var",
    source: { repository: "r", commit: "c" },
    config: {},
    weights: "w",
    tensors: "t",
    checks: [],
  };
  expect(caseSchema.safeParse(empty).success).toBe(false);
});
