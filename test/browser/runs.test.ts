/** The page of runs in a real browser against a real server: start, watch, stop, kill, go on, compare, a thousand of them. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findChromium, launchChromium } from "./chromium.ts";
import { type StartedServer, startServer } from "./server.ts";

const chromium = findChromium();
const work = mkdtempSync(join(tmpdir(), "nextx-page-runs-"));
const timeout = 240_000;

let server: StartedServer;
let url = "";
let browser: Browser;
let page: Page;
const problems: string[] = [];

/** Newest process below the server: what trains. */
function trainingProcess(): number {
  const children = (pid: number): number[] =>
    spawnSync("ps", ["--ppid", String(pid), "-o", "pid="], { encoding: "utf8" })
      .stdout.split("\n")
      .flatMap((line) => Number.parseInt(line, 10) || []);
  const [serving = 0] = children(server.child.pid as number); // started
  return Math.max(...children(serving));
}

const button = (name: string) => page.getByRole("button", { name, exact: true });
const stepNow = async (): Promise<number> =>
  Number(await page.getByRole("progressbar", { name: "Steps" }).getAttribute("aria-valuenow"));
const stepAbove = (step: number) => expect.poll(stepNow, { timeout }).toBeGreaterThan(step);

describe.skipIf(chromium === undefined)(
  "the page of runs (needs Chromium on the path)",
  { timeout: 3 * timeout },
  () => {
    beforeAll(async () => {
      server = await startServer(work);
      url = server.url;
      browser = await launchChromium(chromium as string); // skipped without
      page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
      page.on("pageerror", (error) => problems.push(error.message));
      page.on("console", (message) => {
        if (message.type() === "error") problems.push(message.text());
      });
      await page.goto(`${url}#/runs`);
    }, 2 * timeout);

    afterAll(async () => {
      await browser?.close();
      server?.child.kill("SIGTERM");
      rmSync(work, { recursive: true, force: true });
    }, 60_000);

    it("starts a run with changed values, and shows its curves while it trains", async () => {
      await page.getByRole("link", { name: "New run" }).click();
      await page.getByLabel("Recipe", { exact: true }).selectOption("smoke");
      await page.getByLabel("Name", { exact: true }).fill("watched");
      await page.getByLabel("Checkpoint every").fill("10");
      await page.getByLabel("Samples every").fill("20");
      await page.getByText("Train · Tokenizer", { exact: true }).click();
      await page.getByLabel("Steps", { exact: true }).first().fill("100000");
      await page.keyboard.press("Tab");
      await page.getByText("one value changed").waitFor();
      await button("Start").click();
      await page.getByRole("heading", { name: "watched" }).waitFor({ timeout });
      await page.getByText("Codebook usage per scale").waitFor({ timeout });
      await page.getByRole("img", { name: "Loss over steps", exact: true }).waitFor();
      await stepAbove(25);
      await page.getByRole("img", { name: /Samples of tokenizer after step/ }).waitFor({ timeout });
    });

    it("goes on by itself when its process is killed", async () => {
      const before = await stepNow();
      process.kill(trainingProcess(), "SIGKILL");
      await stepAbove(before + 5);
      expect((await fetch(`${url}livez`)).status).toBe(200);
    });

    it("stops and resumes from the page", async () => {
      await button("Stop").click();
      await button("Resume").waitFor({ timeout });
      const stopped = await stepNow();
      await page.reload();
      await button("Resume").waitFor({ timeout });
      await button("Resume").click();
      await stepAbove(stopped + 1);
      await button("Stop").click();
      await button("Resume").waitFor({ timeout });
    });

    it("compares runs in one plot", async () => {
      for (const name of ["copy-1", "copy-2"])
        cpSync(join(work, "watched"), join(work, name), { recursive: true });
      for (const name of ["watched", "copy-1", "copy-2"])
        await page.getByRole("checkbox", { name: `Compare ${name}` }).check({ timeout });
      await page.getByRole("link", { name: "Compare 3" }).click();
      await page.getByRole("heading", { name: "3 runs side by side" }).waitFor();
      const figure = page.locator("figure", {
        has: page.getByRole("img", { name: "Loss over steps", exact: true }),
      });
      await expect.poll(() => figure.locator("li").allTextContents(), { timeout }).toHaveLength(3);
    });

    it("stays usable with a thousand runs", async () => {
      for (let i = 0; i < 1000; i++) {
        const folder = join(work, `many-${String(i).padStart(4, "0")}`);
        mkdirSync(join(folder, "1-tokenizer"), { recursive: true });
        for (const file of ["run.json", "1-tokenizer/run.json", "1-tokenizer/metrics.jsonl"])
          cpSync(join(work, "watched", file), join(folder, file));
      }
      await page.getByText("of 1,003").waitFor({ timeout });
      const search = page.getByRole("searchbox", { name: "Search runs" });
      const startMs = performance.now();
      await search.fill("many-0777");
      await page.getByRole("link", { name: /many-0777/ }).waitFor();
      await expect.poll(() => page.getByRole("list", { name: "Runs" }).getByRole("listitem").count()).toBe(1);
      expect(performance.now() - startMs).toBeLessThan(5000);
      await search.fill("");
      await button("Older").click();
      await page.getByText("51–100 of 1,003").waitFor();
      expect(await page.getByRole("list", { name: "Runs" }).getByRole("listitem").count()).toBe(50);
    });

    it("lists the arms of a claim", async () => {
      await page.getByRole("list", { name: "Claims" }).getByRole("link", { name: /^var/ }).click();
      await page.getByRole("cell", { name: "pair-cost", exact: true }).waitFor({ timeout });
      await page.getByRole("button", { name: /Run what is missing \(\d+\)/ }).waitFor();
    });

    it("worked without an error", () => expect(problems).toEqual([]));
  },
);
