/** Which phi convolution a scale takes, against numpy. */
import { expect, it } from "vitest";
import { phiAssignment } from "./multiScaleVq.ts";

it.each([
  [1, 4, "0"],
  [2, 4, "03"],
  [3, 4, "023"],
  [4, 4, "0123"],
  [5, 4, "01223"],
  [6, 4, "001233"],
  [7, 4, "0012233"],
  [8, 4, "00112233"],
  [9, 4, "001122233"],
  [10, 4, "0011122333"],
  [11, 4, "00011222333"],
  [13, 4, "0001112222333"],
  [14, 4, "00011112222333"],
  [7, 3, "0001122"],
  [10, 3, "0000111222"],
  [7, 6, "0012355"],
  [10, 6, "0011233455"],
  [7, 0, "0123456"],
  [10, 0, "0123456789"],
])("phi of %i scales with %i shared convolutions", (scales, share, ids) => {
  expect(phiAssignment(scales, share).ids.join("")).toBe(ids);
});
