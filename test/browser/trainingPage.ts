/** Page side of `page.test.ts`: what a user's page does with the devices, driven by name. */
import type { Device } from "../../src/runtime/device.ts";
import { openFastest, openWasm, openWebGpu } from "../../src/runtime/device.web.ts";
import { compile } from "../../src/runtime/program.ts";
import { trace } from "../../src/runtime/trace.ts";
import { floats } from "../../src/runtime/values.ts";
import { symbol } from "../../src/tensor/dims.ts";
import { add } from "../../src/tensor/ops/elementwise.ts";
import { float32 } from "../../src/tensor/tensor.ts";
import { trainTiny } from "../contract/tinyVar.ts";

export type Kind = "webgpu" | "fastest" | { readonly threads: number };

/** What became of it; numbers as plain arrays, errors as their codes. */
export interface Outcome {
  readonly provider?: string;
  readonly threads?: number;
  readonly skipped?: readonly string[];
  readonly numbers?: Readonly<Record<string, readonly number[]>>;
  readonly error?: { readonly code: string | undefined; readonly message: string };
}

async function open(kind: Kind, files: string): Promise<{ device: Device; skipped: readonly string[] }> {
  if (kind === "fastest") {
    const { device, skipped } = await openFastest({ files });
    return { device, skipped: skipped.map(({ code }) => code) };
  }
  const device = await (kind === "webgpu"
    ? openWebGpu({ files })
    : openWasm({ files, threads: kind.threads }));
  return { device, skipped: [] };
}

async function outcome(work: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return { error: { code, message } };
  }
}

const pageTasks = {
  /** Two optimiser steps of a tiny transformer. */
  train: (kind: Kind, files: string) =>
    outcome(async () => {
      const { device, skipped } = await open(kind, files);
      const { provider, threads } = device;
      const { numbers } = await trainTiny(device);
      const plain = Object.entries(numbers).map(([name, data]) => [name, Array.from(data)]);
      return { provider, threads, skipped, numbers: Object.fromEntries(plain) };
    }),

  /** A run after the GPU went away. */
  lose: (files: string) =>
    outcome(async () => {
      const gpus: GPUDevice[] = [];
      const { requestDevice } = GPUAdapter.prototype;
      GPUAdapter.prototype.requestDevice = async function (descriptor) {
        const gpu = await requestDevice.call(this, descriptor);
        gpus.push(gpu);
        return gpu;
      };
      const { device } = await open("webgpu", files);
      const graph = trace({ x: float32(1) }, ({ x }) => ({ y: add(x, 1) }));
      const program = await compile(graph, { device });
      for (const gpu of gpus) gpu.destroy();
      await program.run({ x: floats([1], [1]) });
      return {};
    }),

  /** Runs of two programs at once, again and again. */
  overlap: (kind: Kind, files: string) =>
    outcome(async () => {
      const { device } = await open(kind, files);
      const graph = trace({ x: float32(1) }, ({ x }) => ({ y: add(x, 1) }));
      const programs = await Promise.all([compile(graph, { device }), compile(graph, { device })]);
      const runs = Array.from({ length: 10 }, (_, i) =>
        Promise.all(programs.map((program, j) => program.run({ x: floats([10 * i + j], [1]) }))),
      );
      const results = (await Promise.all(runs)).flat().map(({ y }) => y.data[0] ?? Number.NaN);
      return { numbers: { y: results } };
    }),

  /** A result of `elements` numbers. */
  fill: (kind: Kind, files: string, elements: number) =>
    outcome(async () => {
      const { device } = await open(kind, files);
      const N = symbol("N");
      const graph = trace({ x: float32(N), y: float32("M", 1) }, ({ x, y }) => ({
        z: add(x, y),
      }));
      using program = await compile(graph, { device });
      const side = Math.ceil(Math.sqrt(elements));
      await program.run({
        x: floats(new Float32Array(side), [side]),
        y: floats(new Float32Array(side), [side, 1]),
      });
      return {};
    }),
};

export type PageTasks = typeof pageTasks;

declare global {
  var nextxPage: PageTasks | undefined;
}

globalThis.nextxPage = pageTasks;
