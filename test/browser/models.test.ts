/** The page of models in a real browser: bring a checkpoint, see what it is, what is hostile, quantise, download. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readSafetensors, writeSafetensors } from "../../src/formats/safetensors.ts";
import { findChromium, launchChromium } from "./chromium.ts";
import { type StartedServer, startServer } from "./server.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const chromium = findChromium();
const work = mkdtempSync(join(tmpdir(), "nextx-page-models-"));
const timeout = 240_000;

let server: StartedServer;
let browser: Browser;
let page: Page;
const problems: string[] = [];

/** The transformer of a shipped model, as its authors publish theirs. */
function transformerFile(): string {
  const { tensors } = readSafetensors(readFileSync(join(root, "models/synth-32/model.safetensors")));
  const own = [...tensors].flatMap(([name, tensor]) =>
    name.startsWith("var.") ? [[name.slice(4), tensor] as const] : [],
  );
  const path = join(work, "var_small.safetensors");
  writeFileSync(path, writeSafetensors(new Map(own)));
  return path;
}

const card = (name: string) => page.getByRole("article", { name, exact: true });

describe.skipIf(chromium === undefined)(
  "the page of models (needs Chromium on the path)",
  { timeout: 2 * timeout },
  () => {
    beforeAll(async () => {
      server = await startServer(join(work, "runs"));
      browser = await launchChromium(chromium as string); // skipped without
      page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
      page.on("pageerror", (error) => problems.push(error.message));
      await page.goto(`${server.url}#/models`);
    }, 2 * timeout);

    afterAll(async () => {
      await browser?.close();
      server?.child.kill("SIGTERM");
      rmSync(work, { recursive: true, force: true });
    }, 60_000);

    it("lists the models that ship, with their cards", async () => {
      await card("Model synth-32").waitFor({ timeout });
      await card("Model synth-32").getByText("Card").click();
      await page.getByText("SHA-256", { exact: true }).waitFor({ timeout });
    });

    it("takes a published checkpoint, says what it is, and converts it", async () => {
      await page.locator('input[type="file"][aria-label="Checkpoint"]').setInputFiles(transformerFile());
      const file = page.getByRole("region", { name: "Files" }).locator("article");
      await file.getByText(/^var transformer:/).waitFor({ timeout });
      await file.getByRole("button", { name: "Convert" }).click();
      const done = page.getByRole("region", { name: "Work" }).getByRole("listitem").first();
      await done.getByText("finished", { exact: true }).waitFor({ timeout });
      await done.getByText("No whole model yet: it lacks a tokenizer.").waitFor({ timeout });
    });

    it("says what is wrong with a file that is none", async () => {
      const path = join(work, "page.pth");
      writeFileSync(path, "<!doctype html><title>404</title>");
      await page.locator('input[type="file"][aria-label="Checkpoint"]').setInputFiles(path);
      await page
        .getByRole("alert")
        .filter({ hasText: /web page/ })
        .waitFor({ timeout });
      await page.getByRole("button", { name: "Remove page.pth" }).click();
      await page.getByRole("button", { name: "Sure? Remove page.pth" }).click();
      await expect.poll(() => card("File page.pth").count(), { timeout }).toBe(0);
    });

    it("quantises a model and hands out the file", async () => {
      const model = card("Model synth-32");
      await model.getByLabel("Kind of synth-32").selectOption("int4");
      await model.getByRole("button", { name: "Quantise" }).click();
      const button = page.getByRole("button", { name: /^synth-32-int4\.safetensors/ });
      await button.waitFor({ timeout });
      const [download] = await Promise.all([page.waitForEvent("download", { timeout }), button.click()]);
      const { metadata } = readSafetensors(readFileSync(await download.path()));
      expect(metadata.size).toBeGreaterThan(0);
      await page
        .getByRole("region", { name: "Models" })
        .getByText(/^file:synth-32-int4-/)
        .waitFor({ timeout });
    });

    it("worked without an error", () => expect(problems).toEqual([]));
  },
);
