import { expect, test } from "vitest";
import { DeviceValue, floats } from "../runtime/values.ts";
import { KvCache } from "./kvCache.ts";

test("a rollback keeps the first positions of every head, and leaves clones as they were", () => {
  const cache = new KvCache([floats([1, 2, 3, 4, 5, 6], [1, 2, 3, 1])]);
  const clone = cache.clone();
  cache.rollback(2);
  expect([...(cache.values[0]?.data ?? [])]).toEqual([1, 2, 4, 5]);
  expect(clone.length).toBe(3);
});

test("what lies on a device is freed once, when the last cache lets it go", () => {
  const freed: string[] = [];
  const onDevice = (name: string) =>
    new DeviceValue("float32", [1, 1, 1, 1], undefined, () => freed.push(name));
  const cache = new KvCache([onDevice("a")]);
  const clone = cache.clone();
  cache.commit([onDevice("b")]);
  expect(freed).toEqual([]);
  clone[Symbol.dispose]();
  clone[Symbol.dispose]();
  expect(freed).toEqual(["a"]);
  expect(() => cache.rollback(0)).toThrow(expect.objectContaining({ code: "VALUE_ON_DEVICE" }));
  cache[Symbol.dispose]();
  expect(freed).toEqual(["a", "b"]);
});

test("arrays are freed when the last cache lets them go, not when they are collected", () => {
  const large = () => floats(new Float32Array(2 ** 22).fill(1), [1, 1, 2 ** 22, 1]);
  const held = () => process.memoryUsage().arrayBuffers;
  const [first, second] = [large(), large()];
  const cache = new KvCache([first]);
  const clone = cache.clone();
  cache.commit([second]);
  expect(clone.values[0]?.data[2 ** 22 - 1]).toBe(1);
  const before = held();
  clone[Symbol.dispose]();
  expect(before - held()).toBeGreaterThan(2 ** 23);
  expect([first.data.length, second.data.length]).toEqual([0, 2 ** 22]);
  cache.rollback(5);
  expect([second.data.length, cache.length, cache.values[0]?.data[4]]).toEqual([0, 5, 1]);
});
