import { expect, it } from "vitest";
import { subjectOf } from "./subject.ts";

it.each([
  ["a shipped model", "sar-synth-32", "sar"],
  ["a system of which no model ships", "hmar", "hmar"],
  ["nothing that is there", "no-such-model", "var"],
])("takes the settings of %s", async (_, name, id) => {
  expect((await subjectOf(name)).system.id).toBe(id);
});
