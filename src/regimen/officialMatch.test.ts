/** Where parts are looked for in a dict's names. */
import { expect, it } from "vitest";
import type { TensorDict } from "../formats/tensorFile.ts";
import type { OfficialForm, OfficialPart } from "./officialForm.ts";
import { type FoundPart, fatesOf, findParts } from "./officialMatch.ts";

/** A dict of these names; `walks` counts how often all of them were gone through. */
function dictOf(names: readonly string[], walks = { count: 0 }): TensorDict {
  const tensors = new Map(names.map((name) => [name, { dtype: "F32", shape: [0] } as const]));
  const walk = tensors[Symbol.iterator].bind(tensors);
  const counted = () => {
    walks.count++;
    return walk();
  };
  const keys = () => new Map(counted()).keys();
  Object.assign(tensors, { [Symbol.iterator]: counted, entries: counted, keys });
  const read = () => Promise.reject(new Error("not read"));
  return { key: "", tensors, skipped: [], read, readAll: read };
}

const part: OfficialPart = {
  name: "transformer",
  prefix: "own.",
  anchor: "table.weight",
  recognise: ({ names }) => Promise.resolve({ section: { names: [...names] } }),
  derivable: () => undefined,
  summary: () => "",
};
const form: OfficialForm = {
  parts: [part],
  describe: () => ({ config: {}, imageSize: 1, numClasses: 1 }),
  presets: [],
};
const find = (dict: TensorDict) => findParts([{ file: "f", dict }], new Map([["one", form]]));

it("finds parts behind prefixes and wrappers, the shortest prefix first", async () => {
  const names = [
    ...["module.ema.table.weight", "module.ema.b", "table.weight"],
    ...["net._orig_mod.table.weight", "net._orig_mod.a._orig_mod.b", "vegetable.weight"],
  ];
  const found = await find(dictOf(names));
  expect(found.map(({ key }) => key)).toEqual(["", "net", "module.ema"]);
  expect(found[0]?.tensors.size).toBe(names.length);
  expect(found[1]?.section).toEqual({ names: ["a.b", "table.weight"] });
  expect(found[2]?.section).toEqual({ names: ["b", "table.weight"] });
  expect(found[1]?.tensors.get("a.b")).toMatchObject({ shape: [0], inFile: "net._orig_mod.a._orig_mod.b" });
});

it("looks at 64 prefixes, the shortest, and goes through the dict once", async () => {
  const walks = { count: 0 };
  const names = Array.from({ length: 20_000 }, (_, i) => `a${i}.table.weight`);
  const found = await find(dictOf([...names, "table.weight"], walks));
  expect(found.map(({ key }) => key)).toEqual(["", ...names.slice(0, 63).map((name) => name.split(".")[0])]);
  expect(walks.count).toBe(1);
});

it("refuses names that lie below very many prefixes of models", async () => {
  const prefixes = Array.from({ length: 64 }, (_, i) => "a.".repeat(i));
  const names = [
    ...prefixes.map((prefix) => `${prefix}table.weight`),
    ...Array.from({ length: 50_000 }, (_, i) => `${"a.".repeat(64)}${i}`),
  ];
  await expect(find(dictOf(names))).rejects.toMatchObject({ code: "CHECKPOINT_TOO_NESTED", path: "f" });
  expect(await find(dictOf(names.slice(0, 1000)))).toHaveLength(64);
});

it("refuses two names of one tensor when the part is taken", async () => {
  const found = await find(dictOf(["table.weight", "_orig_mod.table.weight", "_orig_mod.b", "x.b"]));
  expect(found).toHaveLength(1);
  await expect(fatesOf(found[0] as FoundPart, new Map())).rejects.toMatchObject({
    code: "CHECKPOINT_DUPLICATE_NAME",
    path: "_orig_mod.table.weight",
  });
});
