import { expect, test } from "vitest";
import { groupDicts, groupNames } from "./dictGroups.ts";

test("dicts with many siblings are one group under their parent", () => {
  const states = Array.from({ length: 300 }, (_, i) => ({ key: `optimizer.state.${i}`, tensors: 2 }));
  const others = [
    { key: "model", tensors: 7 },
    { key: "optimizer.scale", tensors: 1 },
    { key: "", tensors: 3 },
  ];
  expect(groupDicts([...others, ...states])).toEqual([
    { key: "model", tensors: 7 },
    { key: "", tensors: 3 },
    { key: "optimizer.scale", tensors: 1 },
    { key: "optimizer.state", tensors: 600, dicts: 300 },
  ]);
});

test("names are grouped by their first part, below the dict's key", () => {
  expect(groupNames("", ["a.x", "a.y", "b"])).toEqual([
    { key: "a", tensors: 2 },
    { key: "", tensors: 1 },
  ]);
  expect(groupNames("ema", ["a.x", "b"])).toEqual([
    { key: "ema.a", tensors: 1 },
    { key: "ema", tensors: 1 },
  ]);
});
