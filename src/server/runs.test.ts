/** A run that was trained here before, while another process trains it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { RunFolder } from "../regimen/runFolder.node.ts";
import type { Json } from "../regimen/trainer.ts";
import { resolveRecipe } from "../resolveRecipe.ts";
import { NextxError } from "../tensor/errors.ts";
import { trainableOf } from "../trainables.ts";
import { Operation } from "./operations/operation.ts";
import { RunLibrary } from "./runLibrary.node.ts";
import { Runs, type RunsParts } from "./runs.node.ts";

const work = mkdtempSync(join(tmpdir(), "nextx-runs-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

it("is running, is not ours, and can be stopped or resumed here no more", async () => {
  const config = resolveRecipe(trainableOf("var"), "smoke") as Json; // every recipe is JSON
  const train = { kind: "train", system: "var", checkpointEvery: 50, observeEvery: 500 } as const;
  const ours = new Operation("abcdef-000000000000", { ...train, run: "r" });
  ours.state = "failed";
  ours.error = new NextxError("DATA_NO_ROOT", "as the test says");
  const operations = { all: [ours], find: () => ours };
  const library = new RunLibrary(work);
  const runs = new Runs({ library, operations } as unknown as RunsParts); // all that is asked of it
  {
    await using _other = await RunFolder.create(join(work, "r"), config);
    const run = await runs.read("r");
    expect(run).toMatchObject({ state: "running", operation: null });
    expect(run.error).toBeUndefined();
    await expect(runs.stop("r")).rejects.toMatchObject({ code: "RUN_NOT_HERE" });
    await expect(runs.resume("r")).rejects.toMatchObject({ code: "RUN_ENDED" });
  }
  const error = { code: "DATA_NO_ROOT" };
  expect(await runs.read("r")).toMatchObject({ state: "failed", operation: ours.id, error });
});
