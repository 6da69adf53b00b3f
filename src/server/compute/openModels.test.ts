import { expect, it } from "vitest";
import { NextxError } from "../../tensor/errors.ts";
import { OpenModels } from "./openModels.ts";

/** Models whose files have the hashes of `files` when they are opened. */
function shelf(files: Map<string, string>) {
  const [opened, closed]: [string[], string[]] = [[], []];
  const models = new OpenModels(async (name) => {
    opened.push(name);
    return { sha256: files.get(name) ?? "", [Symbol.dispose]: () => void closed.push(name) };
  }, 2);
  const use = (model: string, sha256: string) => models.use({ model, sha256 }, async (used) => used.sha256);
  return { models, use, opened, closed };
}

it("keeps the models last used open", async () => {
  const { use, opened, closed } = shelf(new Map(["a", "b", "c"].map((name) => [name, name])));
  for (const name of ["a", "b", "a", "c", "a"]) expect(await use(name, name)).toBe(name);
  expect([opened, closed]).toEqual([["a", "b", "c"], ["b"]]);
});

it("opens a model again when its file is another one", async () => {
  const files = new Map([["a", "1"]]);
  const { use, opened, closed } = shelf(files);
  await use("a", "1");
  files.set("a", "2");
  expect(await use("a", "2")).toBe("2");
  expect([opened, closed]).toEqual([["a", "a"], ["a"]]);
  await expect(use("a", "3")).rejects.toMatchObject({ code: "MODEL_CHANGED" });
});

it("closes a model whose file changed while it was used, though its hash may be the same", async () => {
  const { models, use, opened, closed } = shelf(new Map([["a", "1"]]));
  const fail = (code: string) =>
    models.use({ model: "a", sha256: "1" }, () => Promise.reject(new NextxError(code, "no")));
  await expect(fail("RUNTIME_FAILED")).rejects.toMatchObject({ code: "RUNTIME_FAILED" });
  expect([opened, closed]).toEqual([["a"], []]);
  await expect(fail("FILE_CHANGED")).rejects.toMatchObject({ code: "MODEL_CHANGED" });
  expect(closed).toEqual(["a"]);
  expect(await use("a", "1")).toBe("1");
  expect(opened).toEqual(["a", "a"]);
});
