/** What pages compute, in the system's Chromium: the numbers of Node, and coded errors. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCpu } from "../../src/runtime/device.node.ts";
import { type Computed, expectSame, trainTiny } from "../contract/tinyVar.ts";
import { findChromium, launchChromium } from "./chromium.ts";
import { type PageServer, repository, servePage } from "./pageServer.ts";
import type { Kind, Outcome, PageTasks } from "./trainingPage.ts";

const chromium = findChromium();
const title = chromium ? "a page" : "a page (skipped: no Chromium is installed)";

describe.skipIf(chromium === undefined)(title, { timeout: 180_000 }, () => {
  let browser: Browser;
  let server: PageServer;
  let expected: Computed;
  beforeAll(async () => {
    server = await servePage(repository, "test/browser/trainingPage.ts");
    browser = await launchChromium(chromium as string); // not skipped
    expected = await trainTiny(await openCpu({ threads: 1 }));
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await server?.[Symbol.asyncDispose]();
  });

  /** A fresh page with its own runtime. `prepare` runs before any script of it. */
  async function inPage<T>(
    work: (page: Page) => Promise<T>,
    { url = server.url, prepare = () => {} }: { url?: string; prepare?: () => void } = {},
  ): Promise<T> {
    const context = await browser.newContext();
    try {
      const page = await context.newPage();
      await page.addInitScript(prepare);
      await page.goto(url);
      await page.waitForFunction(() => globalThis.nextxPage !== undefined);
      return await work(page);
    } finally {
      await context.close();
    }
  }

  const train = (kind: Kind, options?: Parameters<typeof inPage>[1]): Promise<Outcome> =>
    inPage(
      (page) =>
        page.evaluate(([k, files]) => (globalThis.nextxPage as PageTasks).train(k, files), [
          kind,
          server.files,
        ] as const),
      options,
    );

  function expectNumbers({ numbers, error }: Outcome, tolerance: number): void {
    expect(error).toBeUndefined();
    expectSame({ numbers: numbers ?? {}, ids: {} }, expected, tolerance);
  }

  it("with wasm threads trains to Node's numbers", async () => {
    const result = await train({ threads: 2 });
    expect(result).toMatchObject({ provider: "wasm", threads: 2 });
    expectNumbers(result, 1e-5);
  });

  it("without isolation trains on one thread, and says what isolation would bring", async () => {
    const result = await train("fastest", { url: server.plainUrl });
    expect(result).toMatchObject({ provider: "wasm", threads: 1 });
    expect(result.skipped).toEqual(["DEVICE_UNAVAILABLE", "DEVICE_UNAVAILABLE"]);
    expectNumbers(result, 1e-5);
    const refused = await train({ threads: 2 }, { url: server.plainUrl });
    expect(refused.error).toMatchObject({ code: "DEVICE_UNAVAILABLE" });
  });

  it("with software WebGPU trains to Node's numbers", async () => {
    const result = await train("webgpu");
    expect(result).toMatchObject({ provider: "webgpu" });
    expectNumbers(result, 1e-4);
  });

  it.each([true, false])("keeps overlapping runs apart, suspending wasm: %s", async (suspending) => {
    const prepare = suspending ? () => {} : () => void Reflect.deleteProperty(WebAssembly, "Suspending");
    const result = await inPage(
      (page) =>
        page.evaluate((files) => (globalThis.nextxPage as PageTasks).overlap("webgpu", files), server.files),
      { prepare },
    );
    expect(result.error).toBeUndefined();
    expect(result.numbers?.y).toEqual(Array.from({ length: 20 }, (_, i) => 10 * (i >> 1) + (i % 2) + 1));
  });

  it("without WebGPU or without the runtime's files has no such device", async () => {
    const prepare = () => Object.defineProperty(navigator, "gpu", { value: undefined });
    expect((await train("webgpu", { prepare })).error).toMatchObject({ code: "DEVICE_UNAVAILABLE" });
    const lost = await inPage((page) =>
      page.evaluate(() => (globalThis.nextxPage as PageTasks).train({ threads: 1 }, "/nowhere/")),
    );
    expect(lost.error).toMatchObject({ code: "DEVICE_UNAVAILABLE" });
  });

  it("tells a lost GPU", async () => {
    const result = await inPage((page) =>
      page.evaluate((files) => (globalThis.nextxPage as PageTasks).lose(files), server.files),
    );
    expect(result.error).toMatchObject({ code: "DEVICE_LOST" });
  });

  it.each<[string, Kind, number]>([
    ["a wasm heap", { threads: 1 }, 1.2e9],
    ["a buffer of the GPU", "webgpu", 3e8],
  ])("tells that a result does not fit into %s", async (_, kind, elements) => {
    const result = await inPage((page) =>
      page.evaluate(([k, files, n]) => (globalThis.nextxPage as PageTasks).fill(k, files, n), [
        kind,
        server.files,
        elements,
      ] as const),
    );
    expect(result.error).toMatchObject({ code: "RUNTIME_OUT_OF_MEMORY" });
  });
});
