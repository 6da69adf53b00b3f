/** The providers of the contract, opened one after another: two in this process, one in a Chromium page. */
import type { Browser } from "playwright-core";
import { openCpu } from "../../src/runtime/device.node.ts";
import type { Device } from "../../src/runtime/device.ts";
import { openWasm } from "../../src/runtime/wasm.node.ts";
import { findChromium, launchChromium } from "../browser/chromium.ts";
import { type PageServer, servePage } from "../browser/pageServer.ts";
import { openRemote } from "../browser/remoteDevice.ts";

/** One column of the table. */
export interface Column {
  readonly name: "cpu" | "wasm" | "webgpu";
  readonly device: Device;
  /** The same provider, refusing what it has no kernel for; undefined where the provider is the CPU. */
  readonly strict?: Device;
  /** A fresh page after one that crashed; undefined in this process. */
  reopen?(): Promise<Column>;
}

export interface Page {
  column(): Promise<Column>;
  close(): Promise<void>;
}

export const processColumns = async (): Promise<Column[]> => [
  { name: "cpu", device: await openCpu({ threads: 1 }) },
  { name: "wasm", device: await openWasm({ threads: 1 }) },
];

/** WebGPU in Chromium, or undefined when none is installed. `root` is the repository. */
export async function openPage(root: string): Promise<Page | undefined> {
  const path = findChromium();
  if (path === undefined) return undefined;
  const server = await servePage(root, "test/browser/devicePage.ts");
  const browser = await launchChromium(path);
  return {
    column: () => webgpuColumn(browser, server),
    async close() {
      await browser.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function webgpuColumn(browser: Browser, server: PageServer): Promise<Column> {
  const page = await browser.newPage();
  page.setDefaultTimeout(180_000);
  await page.goto(server.url);
  const open = (cpuFallback: boolean) =>
    openRemote(page, { kind: "webgpu", files: server.files, cpuFallback });
  return {
    name: "webgpu",
    device: await open(true),
    strict: await open(false),
    async reopen() {
      await page.close();
      return webgpuColumn(browser, server);
    },
  };
}
