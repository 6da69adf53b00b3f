import { expect, test } from "vitest";
import { Fnv64, fnv64 } from "./hash.ts";

test("published FNV-1a vectors", () => {
  expect(fnv64("")).toBe("cbf29ce484222325");
  expect(fnv64("a")).toBe("af63dc4c8601ec8c");
  expect(fnv64("foobar")).toBe("85944171f73967e8");
});

test("pieces hash like the whole", () => {
  expect(
    new Fnv64()
      .update("foo")
      .update(new Uint8Array([98, 97, 114]))
      .digest(),
  ).toBe(fnv64("foobar"));
});
