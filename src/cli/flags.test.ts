import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { addSchemaFlags, leaves, readSchemaFlags } from "./flags.ts";

const schema = z.strictObject({
  system: z.literal("x").default("x"),
  seed: z.int().default(1),
  train: z
    .strictObject({
      learningRate: z.number().default(0.1).describe("How fast."),
      mirror: z.boolean().default(true),
      kind: z.enum(["a", "b"]).default("a"),
      sides: z.array(z.int()).default([1, 2]),
    })
    .prefault({}),
});

function parse(...argv: string[]) {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  addSchemaFlags(command, schema, "Values:");
  command.parse(argv, { from: "user" });
  return readSchemaFlags(schema, command.opts());
}

describe("flags of a schema", () => {
  it("are its leaves by path, literals left out", () => {
    expect(leaves(schema).map(({ path }) => path.join("."))).toEqual([
      "seed",
      "train.learningRate",
      "train.mirror",
      "train.kind",
      "train.sides",
    ]);
  });

  it("give a tree of what was given, and nothing else", () => {
    expect(parse()).toBeUndefined();
    expect(parse("--train-learning-rate", "0.5", "--no-train-mirror", "--train-sides=1,3,9")).toEqual({
      train: { learningRate: 0.5, mirror: false, sides: [1, 3, 9] },
    });
    expect(parse("--train-mirror", "--train-kind", "b", "--seed", "7")).toEqual({
      seed: 7,
      train: { mirror: true, kind: "b" },
    });
  });

  it.each([
    [["--seed", "x"]],
    [["--train-kind", "c"]],
    [["--train-sides", "1,,2"]],
    [["--train-learning-rat", "1"]],
  ])("refuse %j", (argv) => {
    expect(() => parse(...argv)).toThrow();
  });
});
