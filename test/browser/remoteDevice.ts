/**
 * A device of a Chromium page behind the Device interface of this process: models and values go over, numbers come back.
 * So every check that takes a device runs on WebGPU too.
 */
import type { Page } from "playwright-core";
import type { Device } from "../../src/runtime/device.ts";
import { NextxError } from "../../src/tensor/errors.ts";
import type { Answer, OpenRequest, Remote } from "./devicePage.ts";

function unwrap<T>(answer: Answer<T>): T {
  if ("value" in answer) return answer.value;
  throw new NextxError(answer.error.code, answer.error.message);
}

/** The page must have loaded `devicePage.ts`. */
export async function openRemote(page: Page, request: OpenRequest): Promise<Device> {
  await page.waitForFunction(() => globalThis.nextxRemote !== undefined);
  const opened = unwrap(await page.evaluate((r) => (globalThis.nextxRemote as Remote).open(r), request));
  return {
    provider: request.kind,
    threads: opened.threads,
    runtime: opened.runtime,
    availableMemoryBytes: () => Number.POSITIVE_INFINITY,
    async createSession(model, { kept: _, ...options }) {
      // what stays on a device cannot come over
      const id = unwrap(
        await page.evaluate(([d, m, o]) => (globalThis.nextxRemote as Remote).create(d, m, o), [
          opened.id,
          model,
          options,
        ] as const),
      );
      return {
        async run(feeds, outputs) {
          return unwrap(
            await page.evaluate(([s, f, o]) => (globalThis.nextxRemote as Remote).run(s, f, o), [
              id,
              [...feeds],
              outputs.map(([name]) => name),
            ] as const),
          );
        },
        [Symbol.dispose]: () =>
          void page.evaluate((s) => (globalThis.nextxRemote as Remote).dispose(s), id).catch(() => undefined), // the page may be gone
      };
    },
  };
}
