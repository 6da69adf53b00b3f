/** The studio's pages against a server that answers as it must: what is asked how often, what is kept, what is said. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { FileInfo } from "../../src/server/modelProtocol.ts";
import type { ClaimDetail, OperationInfo, RunDetail, TrainingInfo } from "../../src/server/runProtocol.ts";
import { findChromium, launchChromium } from "./chromium.ts";
import { FakeServer, fakeModel } from "./fakeServer.ts";

const chromium = findChromium();
const work = mkdtempSync(join(tmpdir(), "nextx-pages-"));
const timeout = 15_000;

let browser: Browser;
let server: FakeServer;
let page: Page;
const problems: string[] = [];

const button = (name: string) => page.getByRole("button", { name, exact: true });
const link = (name: string) => page.getByRole("link", { name, exact: true });
const asked = (path: string): number => server.counts.get(path) ?? 0;
const ready = () => page.getByText(/pictures? (is|are) ready\.|of each are ready\./).waitFor({ timeout });
const model = (name: string) => page.getByRole("article", { name: `Model ${name}`, exact: true });

async function open(hash = "", options: BrowserContextOptions = {}): Promise<void> {
  page = await (await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })).newPage();
  page.setDefaultTimeout(timeout);
  page.on("pageerror", (error) => problems.push(error.message));
  await page.goto(`${server.url}${hash}`);
}

/** Lets polls of a page come whose clock is ours. */
async function poll(path: string, times: number, everyMs: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const before = asked(path);
    await page.clock.runFor(everyMs);
    await expect.poll(() => asked(path), { timeout }).toBeGreaterThan(before);
  }
}

async function openWithClock(hash: string): Promise<void> {
  page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();
  page.on("pageerror", (error) => problems.push(error.message));
  await page.clock.install();
  await page.goto(`${server.url}${hash}`);
}

const run = (id: string, state: RunDetail["state"]): RunDetail =>
  ({
    ...{ id, system: "sar", recipe: "r", state, createdMs: 1e12, stage: "tokenizer", step: 300, steps: 1000 },
    ...{ loss: 0.5, operation: null, makes: "pictures", config: {}, provenance: {} },
    stages: [{ name: "tokenizer", steps: 1000, step: 300, samples: [100, 200, 300] }],
  }) as unknown as RunDetail; // what the page reads

const quantizing = (id: string, state: OperationInfo["state"]): OperationInfo => ({
  ...{ id, state, crashes: 0 },
  request: { kind: "quantize", model: "m-a", to: "int8", convolutions: "float", count: 8, out: `o-${id}` },
});

const whole = (id: string): FileInfo => ({
  ...{ id, name: `${id}.pth`, sizeBytes: 10, received: 10, isWhole: true, parts: [], createdMs: 0 },
});

const claim = (there: readonly string[], verdict: string | null): ClaimDetail => ({
  ...{ system: "sar", verdict, statement: null, operation: null },
  arms: ["a", "b", "c"].map((arm) => ({ arm, isThere: there.includes(arm), minutes: null })),
});

const training: TrainingInfo = {
  ...{ id: "sar", title: "SAR", defaultRecipe: "r" },
  recipes: [{ name: "r", description: "d", expect: "e", values: { patchNums: [1, 2, 4] } }],
  schema: { type: "object", properties: { patchNums: { type: "array", items: { type: "integer" } } } },
} as unknown as TrainingInfo; // what the page reads

/** In place of the worker that computes: it trains in no time, but never to the end of a long training. */
const fakeWorker = `onmessage = ({ data: { kind, id, task } }) => {
  if (kind !== "start") return;
  const { steps } = task.overrides.train.transformer;
  const tell = (event) => postMessage({ kind: "event", id, event });
  tell({ kind: "stage", steps, parameters: 1, batchSize: 1 });
  tell({ kind: "step", step: 1, loss: 1, learningRate: 1 });
  if (steps >= 1000) return;
  tell({ kind: "finished", file: new Uint8Array(100), sha256: "a" });
  postMessage({ kind: "ended", id });
};`;

describe.skipIf(chromium === undefined)(
  "pages of the studio (needs Chromium on the path)",
  { timeout: 90_000 },
  () => {
    beforeAll(async () => {
      browser = await launchChromium(chromium as string); // skipped without
    }, 60_000);
    beforeEach(async () => {
      server = await FakeServer.start();
    }, 60_000);
    afterEach(async () => {
      await page?.context().close();
      await server?.[Symbol.asyncDispose]();
      expect(problems.splice(0)).toEqual([]);
    });
    afterAll(async () => {
      await browser?.close();
      rmSync(work, { recursive: true, force: true });
    });

    it("listens to running work once, looks into a file once, and listens again when the server is back", async () => {
      server.operations = [quantizing("1", "running"), quantizing("2", "queued"), quantizing("3", "queued")];
      server.files = [whole("f-abcdef")];
      await openWithClock("#/models");
      await page.getByRole("article", { name: "File f-abcdef.pth" }).waitFor({ timeout });
      await poll("/v1/operations", 4, 5000);
      expect(server.open).toBe(1);
      expect(asked("/v1/operations/1/events")).toBe(1);
      expect(asked("/v1/operations/2/events")).toBe(0);
      expect(asked("/v1/files/f-abcdef/inspection")).toBe(1);
      server.dropConnections();
      await page.getByText("The server went away.").waitFor({ timeout });
      await page.clock.runFor(3000);
      await expect.poll(() => server.open, { timeout }).toBe(1);
      server.operations = [];
      await poll("/v1/operations", 1, 5000);
      await expect.poll(() => server.open, { timeout }).toBe(0);
    });

    it("looks into one file at a time, into none when its page is left, and never twice into one", async () => {
      const ids = ["f-00000a", "f-00000b", "f-00000c", "f-00000d"];
      const looks = () => ids.map((id) => asked(`/v1/files/${id}/inspection`));
      const shown = () => page.getByText("0 tensors").count();
      server.files = ids.map(whole);
      server.slowFile = "f-00000c";
      await open("#/models");
      await expect.poll(() => server.isLooking, { timeout }).toBe(true);
      await expect.poll(shown, { timeout }).toBe(2);
      await link("Systems").click();
      await expect.poll(() => server.isLooking, { timeout }).toBe(false);
      await page.waitForTimeout(300);
      expect(looks()).toEqual([1, 1, 1, 0]);
      server.slowFile = "";
      await link("Models").click();
      await expect.poll(shown, { timeout }).toBe(4);
      expect(looks()).toEqual([1, 1, 2, 1]);
    });

    it("leaves the step of the samples where it was put", async () => {
      server.runs = [run("live", "running")];
      await openWithClock("#/runs/run%3Alive");
      const slider = page.getByLabel("Step of the samples");
      await slider.waitFor({ timeout });
      await slider.fill("0");
      await poll("/v1/runs/live", 3, 3000);
      expect(await slider.inputValue()).toBe("0");
      expect(asked("/v1/runs/live/samples/tokenizer/100")).toBe(1);
    });

    it("waits before it listens again to a run that tells nothing", async () => {
      server.isSilent = true;
      server.runs = [{ ...run("live", "running"), operation: "1" }];
      await open("#/runs/run%3Alive");
      await expect.poll(() => asked("/v1/runs/live/events"), { timeout }).toBe(1);
      await page.waitForTimeout(1000);
      expect(asked("/v1/runs/live/events")).toBe(1);
      await expect.poll(() => asked("/v1/runs/live/events"), { timeout }).toBe(2);
    });

    it("compares runs by their new rows only", async () => {
      server.runs = [run("live", "running"), run("done", "finished")];
      await openWithClock("#/runs/compare%3Alive,done");
      await page.getByRole("img", { name: "Loss over steps", exact: true }).waitFor({ timeout });
      await poll("/v1/runs/live/metrics", 2, 5000);
      await expect.poll(() => server.rowsAfter, { timeout }).toEqual([-1, -1, 0, 0, 0, 0]);
    });

    it("says that a token is wrong, and has every page after the right one", async () => {
      server.token = "right";
      const entry = {
        benchmark: "b",
        mse: 1,
        mae: 1,
        parameters: 0,
        steps: 0,
        secondsPerStep: 0,
        windowMs: 0,
        validationMse: [],
      };
      const provenance = { revision: "r", command: "c", machineClass: "m", threads: 2, minutes: 1 };
      const contest = { budgetMinutes: 1, seed: 0, data: "d", missing: [], provenance };
      server.arena = {
        image: null,
        series: { ...contest, entries: [{ name: "naive", title: "Last value", ...entry }] },
      };
      await open();
      const field = page.getByLabel("This server wants a token");
      await field.fill("wrong");
      await button("Enter").click();
      await page.getByRole("alert").getByText("This is not the token of this server.").waitFor({ timeout });
      await field.fill("right");
      await button("Enter").click();
      await link("Arena").waitFor({ timeout });
      await ready();
    });

    it("opens a page where the address is damaged", async () => {
      server.token = "50%off";
      await open("#token=50%off");
      await ready();
      await page.goto(`${server.url}#/runs/run%3`);
      await page.reload();
      await link("New run").waitFor({ timeout });
    });

    it("works where the browser keeps nothing", async () => {
      page = await (await browser.newContext()).newPage();
      page.on("pageerror", (error) => problems.push(error.message));
      await page.addInitScript(() => {
        for (const name of ["localStorage", "sessionStorage", "indexedDB"])
          Object.defineProperty(window, name, {
            get() {
              throw new DOMException("denied", "SecurityError");
            },
          });
      });
      await page.goto(server.url);
      await page.getByText("8 pictures are ready. This browser keeps no history").waitFor({ timeout });
    });

    it("makes no pictures where none are shown, and shows the newest ones again without making them", async () => {
      await open("#/systems");
      await page.getByRole("searchbox").waitFor({ timeout });
      expect(await page.title()).toBe("Systems · nextx studio");
      expect(asked("/v1/generate")).toBe(0);
      await link("Generate").click();
      await ready();
      await page.reload();
      await button("Edit").first().waitFor({ timeout });
      expect(asked("/v1/generate")).toBe(1);
    });

    it("generates with a model and nothing else, also while other pictures are made", async () => {
      await open();
      await ready();
      await button("Edit").first().click();
      await button("Compare side by side").click();
      await link("Models").click();
      await model("m-b").getByRole("button", { name: "Generate" }).click();
      await expect.poll(() => server.generated.length, { timeout }).toBe(2);
      expect(server.generated[1]).toMatchObject({ model: "m-b" });
      expect(server.generated[1]).not.toHaveProperty("edit");
      await ready();
      server.scaleMs = 2000;
      await button("Generate").click();
      await link("Models").click();
      server.scaleMs = 20;
      await model("m-a").getByRole("button", { name: "Generate" }).click();
      await expect.poll(() => server.generated.at(-1)?.model, { timeout }).toBe("m-a");
      await ready();
      await expect.poll(() => page.locator("article h2").first().textContent()).toContain("m-a");
    });

    it("tells the command of the pictures that are shown, whatever the form says since", async () => {
      server.models = [fakeModel("file:mine-int8-0a1b2c")];
      await open("", { permissions: ["clipboard-read", "clipboard-write"] });
      await ready();
      await page.getByLabel("Seed", { exact: true }).fill("999");
      await page.getByLabel("Pictures", { exact: true }).fill("2");
      await button("Copy command").click();
      await page.getByText("save the model as mine-int8.safetensors").waitFor({ timeout });
      expect(await page.evaluate(() => navigator.clipboard.readText())).toMatch(
        /^npx nextx sample mine-int8\.safetensors --count 8 --seed 7 /,
      );
      const [download] = await Promise.all([page.waitForEvent("download"), button("Save grid").click()]);
      expect(download.suggestedFilename()).toContain("-7.png");
    });

    it("keeps the focus on its button, and says when the pictures are there", async () => {
      await open();
      await ready();
      server.scaleMs = 300;
      await button("Generate").focus();
      await page.keyboard.press("Enter");
      const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim());
      await expect.poll(focused, { timeout }).toBe("Stop");
      await page.getByRole("status").getByText("8 pictures are ready.").waitFor({ timeout });
      expect(await focused()).toBe("Generate");
    });

    it("holds keys to the bounds of the form", async () => {
      await open();
      await ready();
      const interval = page.getByLabel("Cfg interval");
      await interval.fill("5");
      await interval.press("Tab");
      await interval.fill("-1");
      await interval.press("Tab");
      await page.getByLabel("Pictures", { exact: true }).fill("3000");
      await page.keyboard.press("Control+Enter");
      await page.waitForTimeout(300);
      expect(server.generated).toHaveLength(1);
      await page.getByLabel("Pictures", { exact: true }).fill("3");
      await page.keyboard.press("Control+Enter");
      await expect
        .poll(() => server.generated.at(-1), { timeout })
        .toMatchObject({
          count: 3,
          settings: { cfgInterval: -1 },
        });
    });

    it.each(["breaks", "ends too early"])(
      "says that the server went away where its answer %s",
      async (how) => {
        await open();
        await ready();
        server.endsEarly = how !== "breaks";
        server.scaleMs = how === "breaks" ? 1000 : 20;
        await button("Generate").click();
        await expect.poll(() => server.generated.length, { timeout }).toBe(2);
        if (how === "breaks") server.dropConnections();
        const alert = page.getByRole("alert");
        await alert.getByText("Is `nextx serve` still running?").waitFor({ timeout });
        await alert.getByText("OFFLINE").waitFor();
        await page.locator("article h2").getByText("failed").waitFor({ timeout });
      },
    );

    it("starts no run with a value that cannot be read", async () => {
      server.training = [training];
      await open("#/runs/new");
      await page.getByText("Run", { exact: true }).click({ timeout });
      const field = page.getByLabel("Patch nums");
      await field.fill("1, 2, 4, x");
      await button("Start").click();
      await page.waitForTimeout(300);
      expect(server.begun).toEqual([]);
      expect(await field.inputValue()).toBe("1, 2, 4, x");
      await field.fill("1, 2, 3");
      await button("Start").click();
      await expect
        .poll(() => server.begun, { timeout })
        .toMatchObject([{ overrides: { patchNums: [1, 2, 3] } }]);
    });

    it("runs the chosen arms of a claim once, and tells in its list how it stands", async () => {
      server.isSilent = true;
      server.runs = [run("done", "finished")];
      server.claims = [claim([], null)];
      await open("#/runs/claim%3Asar");
      await page.getByLabel("Run a").check();
      await page.getByLabel("Run b").check();
      server.claims = [claim(["a", "b"], "reproduced")];
      await button("Run 2 chosen").click();
      await button("Run what is missing (1)").waitFor({ timeout });
      expect(await page.getByLabel("Run a").isChecked()).toBe(false);
      const claims = page.getByRole("list", { name: "Claims" }).getByRole("link");
      await claims.getByText("reproduced").waitFor({ timeout });
      expect(await claims.getAttribute("aria-current")).toBe("true");
      await button("Run what is missing (1)").click();
      await expect.poll(() => server.begun, { timeout }).toEqual([{ arms: ["a", "b"] }, {}]);
      const runs = page.getByRole("list", { name: "Runs" }).getByRole("link");
      expect(await runs.getAttribute("aria-current")).toBe("false");
      await runs.click();
      await expect.poll(() => runs.getAttribute("aria-current"), { timeout }).toBe("true");
    });

    it("sends a file on while another page is shown, and keeps what came when it is stopped", async () => {
      await open("#/models");
      const name = "var.pth";
      const path = join(work, name);
      writeFileSync(path, Buffer.alloc(40 * 2 ** 20));
      await page.locator('input[aria-label="Checkpoint"]').setInputFiles(path);
      await expect.poll(() => server.parts.length, { timeout }).toBeGreaterThan(1);
      await link("Generate").click();
      const before = server.parts.length;
      await expect.poll(() => server.parts.length, { timeout }).toBeGreaterThan(before);
      const leaving = page.waitForEvent("dialog");
      void page.close({ runBeforeUnload: true });
      const dialog = await leaving;
      expect(dialog.type()).toBe("beforeunload");
      await dialog.dismiss();
      await link("Models").click();
      await button("Stop").click();
      await page.getByRole("article", { name: `File ${name}` }).waitFor({ timeout });
      expect(server.removed).toEqual([]);
      server.files = server.files.map((file) => ({ ...file, received: 8 * 2 ** 20 }));
      await button("Continue").waitFor({ timeout });
      await expect.poll(() => page.getByText("8.4 MB of 41.9 MB").count(), { timeout }).toBe(1);
      server.parts.length = 0;
      await page.getByLabel(`Rest of ${name}`).setInputFiles(path);
      await expect.poll(() => server.parts[0], { timeout }).toBe(8 * 2 ** 20);
    });

    it("sends a file in smaller parts where the line breaks", async () => {
      server.mostPartBytes = 2 ** 19;
      await open("#/models");
      const path = join(work, "small.pth");
      writeFileSync(path, Buffer.alloc(2 ** 20));
      await page.locator('input[aria-label="Checkpoint"]').setInputFiles(path);
      await expect.poll(() => server.parts, { timeout }).toEqual([0, 2 ** 19]);
    });

    it("keeps the page that is shown in sight on a narrow screen", async () => {
      await open("#/systems", { viewport: { width: 320, height: 700 } });
      const shown = page.locator(".pages a[aria-current]");
      await shown.waitFor({ timeout });
      const right = async () => {
        const box = await shown.boundingBox();
        return (box?.x ?? 0) + (box?.width ?? 0);
      };
      await expect.poll(right, { timeout }).toBeLessThanOrEqual(320);
    });

    it("hides the training that no model allows", async () => {
      await open("#/train");
      await ready(); // there is no such page: the first one is shown
      expect(await link("Train").count()).toBe(0);
      server.models = [fakeModel("flexvar-synth-32")];
      await page.reload();
      await link("Train").waitFor({ timeout });
      await link("Train").click();
      await button("Train").waitFor({ timeout });
    });

    it("keeps a trained model until another one is finished, and asks before it is lost", async () => {
      server.models = [fakeModel("flexvar-synth-32")];
      await open("#/train");
      await page.route(/\/worker-[^/]*\.js$/, (route) =>
        route.fulfill({ contentType: "text/javascript", body: fakeWorker }),
      );
      const save = (of: number) =>
        page.getByRole("button", { name: `Save the model “From noise to stickers, ${of} steps”` });
      const steps = page.getByRole("spinbutton", { name: "Steps" });
      await steps.fill("20");
      await button("Train").click();
      await save(20).waitFor({ timeout });
      await steps.fill("1000");
      await button("Train again").click();
      await page.getByText("Step 1 of 1000").waitFor({ timeout });
      await save(20).waitFor({ timeout });
      await button("Stop").click();
      await button("Discard").click();
      await save(20).waitFor({ timeout });
      const leaving = page.waitForEvent("dialog");
      void page.close({ runBeforeUnload: true });
      const dialog = await leaving;
      expect(dialog.type()).toBe("beforeunload");
      await dialog.dismiss();
      const [download] = await Promise.all([page.waitForEvent("download"), save(20).click()]);
      expect(download.suggestedFilename()).toBe("trained-here.safetensors");
      await steps.fill("30");
      await button("Train").click();
      await save(30).waitFor({ timeout });
      expect(await save(20).count()).toBe(0);
    });

    it("keeps contest and entry of the arena in the address, and draws what costs nothing", async () => {
      const entry = (name: string, title: string, cost: number) => ({
        ...{ name, title, benchmark: "ETTh1/96", mse: 1 - cost / 1e7, mae: 0.5 },
        ...{ parameters: cost, steps: cost, secondsPerStep: cost, windowMs: cost },
        validationMse: cost > 0 ? [1, 0.9] : [],
      });
      const provenance = { revision: "r", command: "c", machineClass: "m", threads: 2, minutes: 1 };
      const contest = { budgetMinutes: 1, seed: 0, data: "ETTh1/96", missing: [], provenance };
      const entries = [entry("naive", "Last value", 0), entry("autoformer", "Autoformer", 1_234_567)];
      server.arena = { image: null, series: { ...contest, entries } };
      await open("#/arena");
      const plot = page.getByRole("group", { name: /Mean squared error over/ });
      await plot.waitFor({ timeout });
      expect(await plot.getByRole("link").count()).toBe(2);
      await page.getByRole("table").getByRole("link", { name: "Autoformer" }).click();
      const card = page.getByRole("article", { name: "Autoformer" });
      await card.waitFor({ timeout });
      await card.getByText("1.235 M", { exact: true }).first().waitFor({ timeout });
      await page.reload();
      await card.waitFor({ timeout });
      expect(asked("/v1/generate")).toBe(0);
      await page.setViewportSize({ width: 360, height: 780 });
      const width = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      await expect.poll(width).toBeLessThanOrEqual(0);
    });

    it("asks before it forgets", async () => {
      await open();
      await ready();
      const history = page.getByRole("region", { name: "History" });
      await button("Generate").click();
      await page.getByLabel("Seed", { exact: true }).fill("8");
      await button("Generate").click();
      await expect.poll(() => history.getByRole("listitem").count(), { timeout }).toBe(2);
      await history.getByRole("button", { name: "Forget m-a, seed 8" }).click();
      expect(await history.getByRole("listitem").count()).toBe(2);
      await history.getByRole("button", { name: "Sure? Forget m-a, seed 8" }).click();
      await expect.poll(() => history.getByRole("listitem").count(), { timeout }).toBe(1);
      await button("Forget all").click();
      await button("Sure? Forget all").click();
      await expect.poll(() => history.count(), { timeout }).toBe(0);
    });
  },
);

it.skipIf(chromium !== undefined)(
  "pages of the studio are skipped: no Chromium on the path",
  () => undefined,
);
