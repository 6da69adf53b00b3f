import { expect, it } from "vitest";
import { fromOfficial, type ParityInputs } from "../formats/parityCase.ts";
import { codeOf } from "../formats/testing/hostile.ts";
import { floats, ints, type Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import { transformerSchema } from "./multiScaleConfig.ts";
import { labelsOf, pictureOutputs, withoutInert } from "./parityTools.ts";

it("what changes no number of a reference is passed over", async () => {
  const official = { depth: 2, embed_dim: 8, num_heads: 2, drop_rate: 0.1, flash_if_available: true };
  expect(withoutInert(official)).toEqual({ depth: 2, embed_dim: 8, num_heads: 2 });
  expect(fromOfficial(transformerSchema, withoutInert(official))).toMatchObject({ depth: 2 });
  expect(withoutInert({ n_head: 4, n_kv_head: null, rope_base: 10000, model_type: "c2i" })).toEqual({
    n_head: 4,
  });
  expect(withoutInert({ n_head: 4, n_kv_head: 4 })).toEqual({ n_head: 4 });
});

it("what would change them is refused", async () => {
  for (const official of [{ n_head: 4, n_kv_head: 2 }, { rope_base: 500 }, { model_type: "t2i" }]) {
    expect(withoutInert(official)).toEqual(official);
    expect(await codeOf(async () => fromOfficial(transformerSchema, withoutInert(official)))).toBe(
      "CONFIG_UNKNOWN_KEY",
    );
  }
});

it("labels are whole numbers of classes, the last being none", async () => {
  const given = (labels: Value): ParityInputs => ({
    ...{ args: {}, wanted: [], tensor: () => labels },
    related: (run) => {
      throw new NextxError("PARITY_MISSING_CHECK", run);
    },
  });
  const classes = { numClasses: 3 };
  expect(labelsOf(given(ints([0, 3], [2])), classes).data).toEqual(Int32Array.from([0, 3]));
  for (const [labels, code] of [
    [ints([0, 4], [2]), "LABEL_OUT_OF_RANGE"],
    [ints([-1], [1]), "LABEL_OUT_OF_RANGE"],
    [floats([1], [1]), "PARITY_BAD_CASE"],
  ] as const)
    expect(await codeOf(async () => labelsOf(given(labels), classes))).toBe(code);
});

it("pictures have both names where they can be pooled", () => {
  const picture = (side: number) => floats(new Float32Array(3 * side * side).fill(1), [1, 3, side, side]);
  expect(pictureOutputs(picture(8)).image_area4).toEqual(floats(new Float32Array(12).fill(1), [1, 3, 2, 2]));
  expect(pictureOutputs(picture(6)).image_area4).toBeUndefined();
});
