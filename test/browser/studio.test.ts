/** The studio in a real browser against a real server: first picture, stopping, recipes, edits, and whom it talks to. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodePng, encodePng, readPngRecipe } from "../../src/formats/png.ts";
import { findChromium, launchChromium } from "./chromium.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const chromium = findChromium();
const work = mkdtempSync(join(tmpdir(), "nextx-studio-"));
const timeout = 120_000;

let server: ChildProcess;
let url = "";
let browser: Browser;
let page: Page;
const foreign: string[] = [];
const problems: string[] = [];

/** Builds what is missing and serves it, as `npm start` does. */
function start(): Promise<string> {
  server = spawn(
    process.execPath,
    [join(root, "scripts/run.js"), "start", "--no-open", "--json", "--port=0", `--runs=${work}`],
    { cwd: root },
  );
  return new Promise((resolve, reject) => {
    let text = "";
    const read = (data: Buffer) => {
      text += data;
      const found = /"url":"([^"]+)"/.exec(text)?.[1];
      if (found) resolve(found);
    };
    server.stdout?.on("data", read);
    server.stderr?.on("data", read);
    server.on("exit", (code) => reject(new Error(`exit ${code}: ${text}`)));
  });
}

/** Runs in the page: notes what the slider says whenever it says something new. */
function watchScales(): void {
  const scales: string[] = [];
  Object.assign(globalThis, { scales });
  new MutationObserver(() => {
    const text = document.querySelector(".scales output")?.textContent;
    if (text && text !== scales.at(-1)) scales.push(text);
  }).observe(document, { subtree: true, childList: true, characterData: true });
}

const button = (name: string) => page.getByRole("button", { name, exact: true });
const done = () => button("Generate").waitFor({ timeout });

async function saved(name: string): Promise<Uint8Array> {
  const [download] = await Promise.all([page.waitForEvent("download"), button(name).first().click()]);
  return readFileSync(await download.path());
}

/** Drops a file on the page. */
async function drop(bytes: Uint8Array, name: string): Promise<void> {
  const transfer = await page.evaluateHandle(
    ({ bytes, name }) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(bytes)], name, { type: "image/png" }));
      return data;
    },
    { bytes: [...bytes], name },
  );
  await page.dispatchEvent("main", "drop", { dataTransfer: transfer });
}

describe.skipIf(chromium === undefined)(
  "the studio (needs Chromium on the path)",
  { timeout: 2 * timeout },
  () => {
    beforeAll(async () => {
      url = await start();
      browser = await launchChromium(chromium as string); // skipped without
      const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
      page = await context.newPage();
      page.on("request", (request) => {
        const { origin, protocol } = new URL(request.url());
        if (protocol.startsWith("http") && origin !== new URL(url).origin) foreign.push(request.url());
      });
      page.on("pageerror", (error) => problems.push(error.message));
      page.on("console", (message) => {
        const isExpected = message.location().url.endsWith("/v1/recipes"); // a picture without one is answered by 400
        if (message.type() === "error" && !isExpected) problems.push(message.text());
      });
      await page.addInitScript(watchScales);
      await page.goto(url);
    }, 2 * timeout);

    afterAll(async () => {
      await browser?.close();
      server?.kill("SIGTERM");
      rmSync(work, { recursive: true, force: true });
    });

    it("shows pictures scale by scale without being asked, and goes back through the scales", async () => {
      await done();
      await page.locator(".scales output", { hasText: "6 of 6" }).waitFor({ timeout });
      const seen = await page.evaluate(() => (globalThis as unknown as { scales: string[] }).scales);
      expect(seen.slice(-6)).toEqual([1, 2, 3, 4, 5, 6].map((scale) => `${scale} of 6`));
      await expect(page.locator(".scales output").textContent()).resolves.toBe("6 of 6");
      const pixels = () =>
        page
          .locator("canvas")
          .first()
          .evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL());
      const last = await pixels();
      await page.locator("body").press("ArrowLeft");
      await page.locator(".scales output", { hasText: "5 of 6" }).waitFor();
      expect(await pixels()).not.toBe(last);
      await page.locator("body").press("ArrowRight");
      await page.locator(".scales output", { hasText: "6 of 6" }).waitFor();
      expect(await pixels()).toBe(last);
    });

    it("saves a PNG whose recipe brings the form back", async () => {
      await page.getByLabel("Seed", { exact: true }).fill("424242");
      await page.getByLabel("Pictures", { exact: true }).fill("2");
      await button("warm star").click();
      await button("Generate").click();
      await done();
      const bytes = await saved("Save grid");
      expect(readPngRecipe(bytes)).toMatchObject({ model: "sar-synth-32", labels: [8, 8], seed: 424242 });
      await page.getByLabel("Seed", { exact: true }).fill("1");
      await button("all").click();
      await drop(bytes, "saved.png");
      await page.getByText("The recipe of saved.png is in the form.").waitFor({ timeout });
      expect(await page.getByLabel("Seed", { exact: true }).inputValue()).toBe("424242");
      expect(await button("warm star").getAttribute("aria-pressed")).toBe("true");
      expect(await saved("Save grid")).toEqual(bytes);
    });

    it("reads the recipe of a picture that is larger than a request may be, and edits one without", async () => {
      const side = 850;
      const pixels = Uint8Array.from(randomBytes(3 * side * side)); // packs badly
      const image = { width: side, height: side, pixels };
      const recipe = readPngRecipe(await saved("Save grid"));
      const large = encodePng(image, { recipe });
      expect(large.length).toBeGreaterThan(2 ** 21);
      await drop(large, "large.png");
      await page.getByText("The recipe of large.png is in the form.").waitFor({ timeout });
      await drop(encodePng(image), "photo.png");
      await page.getByText("photo.png carries no recipe").waitFor({ timeout });
      await button("Remove").click();
      await drop(
        encodePng(
          { width: 1, height: 1, pixels: pixels.subarray(0, 3) },
          { recipe: { ...recipe, labels: Array(40).fill(8) } },
        ),
        "many.png",
      );
      await page.getByRole("alert").getByText("40 pictures").waitFor({ timeout });
      await button("Dismiss").click();
      await page.getByLabel("Pictures", { exact: true }).fill("2");
      await button("Generate").click();
      await done();
    });

    it("makes the part inside a drawn box new and keeps the rest", async () => {
      const before = decodePng(await saved("Save"));
      await button("Edit").first().click();
      const area = page.getByRole("application");
      const place = await area.boundingBox();
      if (place === null) throw new Error("no area");
      const at = (x: number, y: number) => [place.x + x * place.width, place.y + y * place.height] as const;
      await page.mouse.move(...at(0.5, 0.01));
      await page.mouse.down();
      await page.mouse.move(...at(0.99, 0.99), { steps: 4 });
      await page.mouse.up();
      await page.getByLabel("Seed", { exact: true }).fill("77");
      await button("Generate").click();
      await done();
      const bytes = await saved("Save");
      const { edit } = readPngRecipe(bytes) as { edit: { box: { x0: number; x1: number }; where: string } };
      expect(edit.where).toBe("inside");
      expect(edit.box.x0).toBeCloseTo(0.5, 1);
      const after = decodePng(bytes);

      await page.getByLabel("Brush", { exact: true }).check();
      await page.mouse.move(...at(0.75, 0.2));
      await page.mouse.down();
      await page.mouse.move(...at(0.75, 0.8), { steps: 6 });
      await page.mouse.up();
      await button("Generate").click();
      await done();
      const painted = (readPngRecipe(await saved("Save")) as { edit: { mask: string; box?: object } }).edit;
      expect(painted.box).toBeUndefined();
      const mask = decodePng(Buffer.from(painted.mask, "base64"));
      const light = (x: number, y: number) => mask.pixels[(Math.floor(y * 32) * 32 + Math.floor(x * 32)) * 3];
      expect([light(0.75, 0.5), light(0.25, 0.5), light(0.75, 0.95)]).toEqual([255, 0, 0]);
      await page.getByLabel("Box", { exact: true }).check();

      await button("Remove").click();
      await button("Generate").click();
      await done();
      const unrelated = decodePng(await saved("Save"));
      const difference = (other: typeof before, x0: number, x1: number) => {
        let sum = 0;
        for (let y = 0; y < 32; y++)
          for (let i = (y * 32 + x0) * 3; i < (y * 32 + x1) * 3; i++)
            sum += Math.abs((before.pixels[i] ?? 0) - (other.pixels[i] ?? 0));
        return sum;
      };
      expect(difference(after, 0, 10)).toBeLessThan(0.5 * difference(unrelated, 0, 10));
      expect(difference(after, 22, 32)).toBeGreaterThan(difference(after, 0, 10));
    });

    it("stops at once when asked, and the server stops, too", async () => {
      await page.getByLabel("Pictures", { exact: true }).fill("32");
      await page.getByLabel("Seed", { exact: true }).fill("5");
      await button("Generate").click();
      await page.locator(".scales output", { hasText: /^[1-5] of 6$/ }).waitFor({ timeout });
      await page.keyboard.press("Escape");
      await page.getByText("Stopped.").waitFor({ timeout: 5000 });
      await expect
        .poll(
          async () =>
            /nextx_num_requests_running (\d+)/.exec(await (await fetch(`${url}metrics`)).text())?.[1],
          {
            timeout: 30_000,
          },
        )
        .toBe("0");
    });

    it("compares two settings on the same noise", async () => {
      await page.getByLabel("Pictures", { exact: true }).fill("2");
      await button("Compare side by side").click();
      await page.getByLabel("Temperature").last().fill("0.3");
      await button("Generate").click();
      await done();
      const labels = await page.locator("article h2").allTextContents();
      expect(labels.map((text) => text.trim().slice(0, 1))).toEqual(["A", "B"]);
      const grids: string[] = [];
      for (const index of [0, 1]) {
        const [download] = await Promise.all([
          page.waitForEvent("download"),
          button("Save grid").nth(index).click(),
        ]);
        grids.push(JSON.stringify(readPngRecipe(readFileSync(await download.path()))));
      }
      const [a, b] = grids.map((text) => JSON.parse(text));
      expect([a.seed, a.labels]).toEqual([b.seed, b.labels]);
      expect([a.settings.temperature, b.settings.temperature]).toEqual([1, 0.3]);
    });

    it("computes in the page when asked, and on the server again", async () => {
      await done();
      await page.getByText("This page", { exact: true }).click();
      await page.getByLabel("Pictures", { exact: true }).fill("2");
      await button("Generate").click();
      await done();
      await page.getByText(/In this page: WebAssembly, (one thread|\d+ threads)/).waitFor();
      const made = readPngRecipe(await saved("Save grid")) as { made: { runtime: string } };
      expect(made.made.runtime).toContain("onnxruntime-web");
      await page.getByText("Server", { exact: true }).click();
      await button("Generate").click();
      await done();
      const again = readPngRecipe(await saved("Save grid")) as { made: { runtime: string } };
      expect(again.made.runtime).toContain("onnxruntime-node");
    });

    it("keeps what was made, for the next visit", async () => {
      await page.reload();
      await done();
      expect(
        await page.getByRole("region", { name: "History" }).getByRole("listitem").count(),
      ).toBeGreaterThan(2);
    });

    it("measures the dynamics of a model and draws them by scale", async () => {
      await page.getByRole("link", { name: "Dynamics", exact: true }).click();
      const box = (name: string) => page.getByRole("checkbox", { name, exact: true });
      await box("synth-32").waitFor({ timeout });
      for (const one of await page.getByRole("checkbox").all()) await one.uncheck();
      await box("synth-32").check();
      await page.getByLabel("pictures").fill("16");
      await page.getByText("measured before, shipped with nextx").waitFor({ timeout });
      await button("Measure").click();
      await page.getByText("16 held-out pictures of synth, seed 0", { exact: true }).waitFor({ timeout });
      expect(await page.locator("figure svg").count()).toBe(9);
    });

    it("finds a system by what it is, and draws the plan that runs here", async () => {
      await page.getByRole("link", { name: "Systems", exact: true }).click();
      await page.getByRole("searchbox").fill("flow matching cell");
      const list = page.getByRole("list", { name: "Systems" }).getByRole("link");
      await list.first().waitFor({ timeout });
      expect(await list.count()).toBe(1);
      await list.first().click();
      await page.getByRole("heading", { name: "Next-X (xAR)" }).waitFor();
      await page.getByRole("searchbox").fill("visual autoregressive modeling");
      await page.getByRole("link", { name: /^Visual Autoregressive Modeling/ }).click();
      await page.getByText("6 steps, 130 sites").waitFor();
      await page.goBack();
      await page.getByRole("heading", { name: "Next-X (xAR)" }).waitFor();
      await page.getByRole("searchbox").fill("");
      await page.getByRole("combobox").selectOption("parallel-generation survey");
      const systemsUnder = (heading: string) =>
        page.getByRole("list", { name: heading }).getByRole("listitem");
      expect(await systemsUnder("masked").count()).toBe(3);
      expect(await page.locator(".list li").count()).toBe(45);
    });

    it("talked to its own server only, without an error", () => {
      expect(foreign).toEqual([]);
      expect(problems).toEqual([]);
    });
  },
);

it.skipIf(chromium !== undefined)(
  "the studio's browser tests are skipped: no Chromium on the path",
  () => undefined,
);
