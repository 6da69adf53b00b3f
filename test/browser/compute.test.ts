/** Shipped models in a page, in the system's Chromium: the logits of Node, nearly its tokens, and what damaged files give. */
import { statSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Model, openModel } from "../../src/model.ts";
import { findModel, shippedModels } from "../../src/models.node.ts";
import { openCpu } from "../../src/runtime/device.node.ts";
import type { Device } from "../../src/runtime/device.ts";
import { trainInMemory } from "../../src/trainInMemory.ts";
import { findChromium, launchChromium } from "./chromium.ts";
import type { ComputeTasks, Kind } from "./computePage.ts";
import { type PageServer, repository, servePage } from "./pageServer.ts";
import { forcedLogits, freeTokens } from "./sameModel.ts";

const chromium = findChromium();
const title = chromium ? "a model in a page" : "a model in a page (skipped: no Chromium is installed)";

/** Where the test's server has a shipped model. */
function addressOf(name: string) {
  const shipped = shippedModels().find((model) => model.name === name);
  if (shipped === undefined) throw new Error(name);
  const { sha256 } = shipped.card;
  return { name, url: `/models/${name}/model.safetensors`, sizeBytes: statSync(shipped.path).size, sha256 };
}

/** A model of two layers over the shipped tokenizer, in few steps. */
const tiny = {
  transformer: { depth: 2, patchNums: [1, 2], sampledSides: [1, 2] },
  schedules: { random: false },
  train: { transformer: { steps: 5, batchSize: 2, warmup: 1, learningRate: 1e-3, tokenImages: 16 } },
};

describe.skipIf(chromium === undefined)(title, { timeout: 300_000 }, () => {
  let browser: Browser;
  let server: PageServer;
  let device: Device;
  beforeAll(async () => {
    server = await servePage(repository, "test/browser/computePage.ts");
    browser = await launchChromium(chromium as string); // not skipped
    device = await openCpu({ threads: 1 });
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await server?.[Symbol.asyncDispose]();
  });

  async function inPage<T>(work: (page: Page) => Promise<T>): Promise<T> {
    const context = await browser.newContext();
    try {
      const page = await context.newPage();
      await page.goto(server.url);
      await page.waitForFunction(() => globalThis.nextxCompute !== undefined);
      return await work(page);
    } finally {
      await context.close();
    }
  }

  const here = async (name: string): Promise<Model> => openModel(await findModel(name), device);

  /** Calls a task by name; everything crosses as JSON. */
  const call = <K extends keyof ComputeTasks>(name: K, ...args: Parameters<ComputeTasks[K]>) =>
    inPage((page) =>
      page.evaluate(
        ([task, given]) => {
          const run = (globalThis.nextxCompute as ComputeTasks)[task] as (...all: unknown[]) => unknown;
          return run(...given);
        },
        [name, args] as const,
      ),
    ) as Promise<Awaited<ReturnType<ComputeTasks[K]>>>;

  async function expectLogits(kind: Kind, name: string, sides?: readonly number[]): Promise<void> {
    using model = await here(name);
    const expected = await forcedLogits(model, device, sides);
    const given = await call("logits", kind, server.files, addressOf(name), sides);
    expect(given.length).toBe(expected.length);
    const worst = given.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] ?? 0))), 0);
    expect(worst).toBeLessThan(1e-3);
  }

  it.each(["synth-32", "sar-synth-32"])("gives Node's logits for the same tokens of %s on wasm", (name) =>
    expectLogits("wasm", name),
  );

  // three scales: a GPU that is emulated takes its time
  it("gives Node's logits for the same tokens on software WebGPU", () =>
    expectLogits("webgpu", "sar-synth-32", [1, 2, 3]));

  it("generates nearly Node's tokens on wasm", async ({ annotate }) => {
    const count = 16;
    using model = await here("synth-32");
    const expected = await freeTokens(model, count);
    const given = await call("tokens", "wasm", server.files, addressOf("synth-32"), count);
    const equal = given.filter((id, i) => id === expected[i]).length / expected.length;
    await annotate(`${(100 * equal).toFixed(2)} % of ${expected.length} tokens are equal`);
    expect(given.length).toBe(expected.length);
    expect(equal).toBeGreaterThan(0.9);
  });

  it("trains to Node's losses", async () => {
    const losses: number[] = [];
    const from = await findModel("flexvar-synth-32");
    const keeps = (name: string) => name.startsWith("vae.");
    const common = { from, keeps, stage: "transformer", overrides: tiny, observeEvery: 1000, device };
    for await (const event of trainInMemory(common))
      if (event.kind === "step") losses.push(event.report.loss);
    const given = await call("train", "wasm", server.files, addressOf("flexvar-synth-32"), tiny);
    expect(given).toHaveLength(5);
    for (const [i, loss] of given.entries()) expect(loss).toBeCloseTo(losses[i] as number, 4);
  });

  it("refuses a file of another size or hash, and says when there is none", async () => {
    const right = addressOf("synth-32");
    const wrong = [
      { ...right, sha256: "0".repeat(64) },
      { ...right, sizeBytes: right.sizeBytes - 1 },
      { ...right, sizeBytes: right.sizeBytes + 1 },
    ];
    for (const address of wrong)
      expect(await call("refusal", address)).toMatchObject({ code: "MODEL_DAMAGED" });
    const nowhere = { ...right, url: "/models/none/model.safetensors" };
    expect(await call("refusal", nowhere)).toMatchObject({ code: "MODEL_NOT_FOUND" });
    const dead = { ...right, url: "http://127.0.0.1:9/model.safetensors" };
    expect(await call("refusal", dead)).toMatchObject({ code: "MODEL_UNREACHABLE" });
  });
});
