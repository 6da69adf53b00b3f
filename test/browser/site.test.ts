/**
 * The studio as a static site, as a visitor meets it: below a path of a host that sends no special headers, in the system's
 * Chromium. Pictures, edits of the form and training happen in the page; then the host goes away.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page, Worker } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeModel } from "../../src/formats/modelFile.ts";
import { readPngRecipe } from "../../src/formats/png.ts";
import { findChromium, launchChromium } from "./chromium.ts";
import { repository } from "./pageServer.ts";
import { type SiteServer, serveSite } from "./siteServer.ts";

const chromium = findChromium();
const title = chromium ? "a static site" : "a static site (skipped: no Chromium is installed)";
const work = mkdtempSync(join(tmpdir(), "nextx-site-"));
const folder = join(work, "site");
const timeout = 240_000;

/** What the worker told, and when; noted in the worker. */
interface Told {
  readonly kind: string;
  readonly event?: string;
}

const nextx = (...args: string[]) =>
  spawnSync(process.execPath, [join(repository, "bin/nextx.js"), ...args], { encoding: "utf8" });

describe.skipIf(chromium === undefined)(title, { timeout: 2 * timeout }, () => {
  let browser: Browser;
  let context: BrowserContext;
  let server: SiteServer;
  let page: Page;
  const outside: string[] = [];
  const problems: string[] = [];

  const button = (name: string) => page.getByRole("button", { name, exact: true });
  const done = () => button("Generate").waitFor({ timeout });
  const scale = (text: string | RegExp) =>
    page.locator(".scales output", { hasText: text }).waitFor({ timeout });

  async function saved(name: string): Promise<Uint8Array> {
    const [download] = await Promise.all([page.waitForEvent("download"), button(name).first().click()]);
    return readFileSync(await download.path());
  }

  beforeAll(async () => {
    const built = nextx("studio", "build", folder, "--models", "synth-32,flexvar-synth-32", "--json");
    expect(built.stderr).toBe("");
    expect(JSON.parse(built.stdout)).toMatchObject({ models: ["synth-32", "flexvar-synth-32"] });
    server = await serveSite(folder, "/some/path/");
    browser = await launchChromium(chromium as string); // not skipped
    context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
    page = await context.newPage();
    context.on("request", (request) => {
      if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(server.url))
        outside.push(request.url());
    });
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text());
    });
    await page.goto(server.url);
  }, 2 * timeout);

  afterAll(async () => {
    await browser?.close();
    await server?.[Symbol.asyncDispose]();
    rmSync(work, { recursive: true, force: true });
  });

  it("is not put over anything else", () => {
    const again = nextx("studio", "build", folder, "--json");
    expect(JSON.parse(again.stdout)).toMatchObject({ error: { code: "SITE_FOLDER_IN_USE" } });
    const elsewhere = nextx("studio", "build", work, "--force", "--json");
    expect(JSON.parse(elsewhere.stdout)).toMatchObject({ error: { code: "SITE_FOLDER_IN_USE" } });
  });

  it("draws in the page, on one thread where the host isolates nothing", async () => {
    await scale("6 of 6");
    await done();
    await page.getByText("WebAssembly, one thread").waitFor();
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
    const links = await page.getByRole("navigation").getByRole("link").allTextContents();
    const arena = JSON.parse(readFileSync(join(folder, "data/arena.json"), "utf8"));
    const isThere = Object.values(arena).some((contest) => contest !== null);
    expect(links).toEqual(["Generate", "Train", "Dynamics", "Systems", ...(isThere ? ["Arena"] : [])]);
  });

  it("stays awake while it computes, and stops within one step", async () => {
    const [worker] = page.workers();
    await (worker as Worker).evaluate(() => {
      const told: Told[] = [];
      const { postMessage } = globalThis as unknown as { postMessage(message: unknown): void };
      Object.assign(globalThis, {
        told,
        postMessage(message: { kind: string; event?: { kind: string } }) {
          told.push({ kind: message.kind, ...(message.event && { event: message.event.kind }) });
          postMessage.call(globalThis, message);
        },
      });
    });
    await page.getByLabel("Pictures", { exact: true }).fill("32");
    await page.evaluate(() => {
      const gaps: number[] = [];
      let last = performance.now();
      setInterval(() => {
        gaps.push(performance.now() - last);
        last = performance.now();
      }, 10);
      Object.assign(globalThis, { gaps });
    });
    await button("Generate").click();
    await scale(/^[1-3] of 6$/);
    await page.keyboard.press("Escape");
    await page.getByText("Stopped.").waitFor({ timeout: 5000 });
    const told = () => (worker as Worker).evaluate(() => (globalThis as unknown as { told: Told[] }).told);
    await expect.poll(async () => (await told()).at(-1)?.kind, { timeout }).toBe("failed");
    const previews = (await told()).filter(({ event }) => event === "preview").length;
    expect(previews).toBeLessThanOrEqual(4); // the one in hand was finished, no other begun
    const gaps = await page.evaluate(() => (globalThis as unknown as { gaps: number[] }).gaps);
    expect(gaps.toSorted((a, b) => a - b)[Math.floor(0.95 * gaps.length)]).toBeLessThan(200);
  });

  it("saves a PNG whose recipe brings the form back, with nobody asked", async () => {
    await page.getByLabel("Pictures", { exact: true }).fill("2");
    await page.getByLabel("Seed", { exact: true }).fill("4242");
    await button("warm star").click();
    await button("Generate").click();
    await done();
    const bytes = await saved("Save grid");
    expect(readPngRecipe(bytes)).toMatchObject({ model: "synth-32", labels: [8, 8], seed: 4242 });
    await page.getByLabel("Seed", { exact: true }).fill("1");
    const transfer = await page.evaluateHandle(
      (given) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(given)], "saved.png", { type: "image/png" }));
        return data;
      },
      [...bytes],
    );
    await page.dispatchEvent("main", "drop", { dataTransfer: transfer });
    await page.getByText("The recipe of saved.png is in the form.").waitFor({ timeout });
    expect(await page.getByLabel("Seed", { exact: true }).inputValue()).toBe("4242");
    expect(await saved("Save grid")).toEqual(bytes);
  });

  it("shows the dynamics that were measured before, and offers no measurement", async () => {
    await page.getByRole("link", { name: "Dynamics", exact: true }).click();
    await page.getByText("measured before, shipped with nextx").waitFor({ timeout });
    expect(await page.locator("figure svg").count()).toBe(9);
    expect(await button("Measure").count()).toBe(0);
  });

  it("trains, stops, continues, and draws with what it trained", async () => {
    await page.getByRole("link", { name: "Train", exact: true }).click();
    await page.getByLabel("Steps").fill("20");
    await button("Train").click();
    const status = page.locator(".status");
    await status.getByText(/^Step [1-9] of 20$/).waitFor({ timeout });
    await button("Stop").click();
    await button("Discard").click();
    await button("Train").waitFor({ timeout });
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Train");
    await button("Train").click();
    await status.getByText(/^Step [2-9] of 20$/).waitFor({ timeout });
    await button("Stop").click();
    await status.getByText("stopped").waitFor();
    await page.waitForTimeout(1500); // the step in hand
    const held = await status.getByText(/^Step /).textContent();
    await page.waitForTimeout(1500);
    expect(await status.getByText(/^Step /).textContent()).toBe(held);
    await button("Continue").click();
    await status.getByText("finished").waitFor({ timeout });
    await status.getByText("0.60 M parameters").waitFor();
    expect(await page.locator("figure canvas").count()).toBe(1);
    const looks = page.getByRole("list", { name: "Pictures over the training" }).getByRole("listitem");
    expect(await looks.count()).toBe(3); // after the first step, the tenth and the last
    const losses = (await looks.allTextContents()).map((text) => Number(/loss ([\d.]+)/.exec(text)?.[1]));
    expect(losses.at(-1)).toBeLessThan((losses[0] ?? 0) - 0.1);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Save the model" }).click(),
    ]);
    const model = decodeModel(readFileSync(await download.path()));
    expect(model.description).toMatchObject({ system: "sar", imageSize: 32 });
    await button("Generate with it").click();
    await scale("6 of 6");
    await done();
    expect(await page.locator("article h2").textContent()).toContain("trained-here");
  });

  it("draws while it trains, each in a worker of its own", async () => {
    await page.getByRole("link", { name: "Train", exact: true }).click();
    await page.getByRole("spinbutton", { name: "Steps" }).fill("5000");
    await button("Train again").click();
    const stepOf = async () =>
      Number(/^Step (\d+) of 5000$/.exec((await page.locator(".status b").textContent()) ?? "")?.[1]);
    await page
      .locator(".status")
      .getByText(/^Step [1-9] of 5000$/)
      .waitFor({ timeout });
    const before = await stepOf();
    expect(page.workers()).toHaveLength(2);
    await page.getByRole("link", { name: "Generate", exact: true }).click();
    await button("Generate").click();
    await scale("6 of 6");
    await done();
    await page.getByRole("link", { name: "Train", exact: true }).click();
    await expect.poll(stepOf, { timeout }).toBeGreaterThan(before);
    await button("Stop").click();
    await button("Discard").click();
    await expect.poll(() => page.workers().length, { timeout }).toBe(1);
  });

  it("says so when nothing can compute", async () => {
    const bare = await browser.newContext({ serviceWorkers: "block" });
    const other = await bare.newPage();
    await other.route("**/runtime/**", (route) => route.abort());
    await other.goto(server.url);
    const alert = other.getByRole("alert");
    await alert.waitFor({ timeout });
    expect(await alert.textContent()).toContain("DEVICE_UNAVAILABLE");
    await bare.close();
  });

  it("works without its host after the first visit, then with threads", async ({ annotate }) => {
    await page.getByRole("link", { name: "Generate", exact: true }).click();
    await page.getByText("Works offline.").waitFor({ timeout });
    await server[Symbol.asyncDispose]();
    for (const visit of ["second", "third"]) {
      const startMs = performance.now();
      const seconds = () => ((performance.now() - startMs) / 1000).toFixed(1);
      await page.reload();
      await page.getByRole("region", { name: "History" }).waitFor({ timeout });
      await button("Generate").click();
      await scale(/^\d of 6$/);
      const first = seconds();
      await scale("6 of 6");
      await done();
      await annotate(`${visit} visit: first scale after ${first} s, eight pictures after ${seconds()} s`);
    }
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    const threads = await page.evaluate(() => navigator.hardwareConcurrency);
    if (threads > 1) await page.getByText(/WebAssembly, \d+ threads/).waitFor();
    await page.getByRole("combobox", { name: "Model" }).selectOption("flexvar-synth-32"); // used before: kept
    await button("Generate").click();
    await done();
    expect(await page.locator("article h2").textContent()).toContain("flexvar-synth-32");
    await page.getByRole("link", { name: "Systems", exact: true }).click();
    await page.getByRole("link", { name: /^Visual Autoregressive Modeling/ }).click();
    await page.getByText("6 steps, 130 sites").waitFor({ timeout });
  });

  it("asked no other host, and had no error", () => {
    expect(outside).toEqual([]);
    expect(problems).toEqual([]);
  });
});
