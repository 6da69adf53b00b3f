/** Devices of Node: onnxruntime-node's CPU, its WebGPU, CUDA where the user's runtime has it, and onnxruntime-web's wasm. */
import { createRequire } from "node:module";
import { availableParallelism, cpus, freemem } from "node:os";
import { NextxError } from "../tensor/errors.ts";
import type { Provider } from "../tensor/tensor.ts";
import type { Device, SessionOptions } from "./device.ts";
import {
  type InTurn,
  keptOutputs,
  type Ort,
  OrtSession,
  runtimeError,
  sessionOptions,
} from "./ortSession.ts";
import { machineWeightBits } from "./processor.node.ts";
import { type Providers, TaskQueue, tryDevice } from "./providers.ts";
import { openWasm } from "./wasm.node.ts";

async function loadRuntime(): Promise<Ort> {
  try {
    const module = await import("onnxruntime-node");
    // CommonJS: named exports may sit on `default`
    const ort = ("default" in module ? module.default : module) as typeof module;
    ort.env.logLevel = "fatal"; // what fails is thrown; nothing is printed
    return ort;
  } catch (cause) {
    throw new NextxError("OPTIONAL_DEPENDENCY_MISSING", "onnxruntime-node could not be loaded.", {
      hint: "Install it next to nextx: npm install onnxruntime-node",
      cause,
    });
  }
}

function runtimeName(): string {
  const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string }; // npm's own file
  return `onnxruntime-node ${version}`;
}

/** Threads of the CPU: those asked for, else the cores, at most 8. */
function threadCount(threads = Math.min(8, availableParallelism())): number {
  if (Number.isInteger(threads) && threads >= 1 && threads <= 1024) return threads;
  throw new NextxError("DEVICE_BAD_THREADS", `The CPU needs 1 to 1024 threads, got ${threads}.`, {
    path: "threads",
  });
}

async function nativeDevice(
  provider: Provider,
  threads: number,
  executionProviders: Providers,
  inTurn?: InTurn,
): Promise<Device> {
  const ort = await loadRuntime();
  return {
    provider,
    threads,
    maxInside: 2 ** 30, // the format ends at twice that
    runtime: runtimeName() + (provider === "cpu" ? "" : ` ${provider}`),
    ...(provider === "webgpu" && { joinsOutputs: true as const }),
    ...(provider === "cpu" && { weightBits: machineWeightBits(), opensFiles: true as const }),
    availableMemoryBytes: () => process.availableMemory?.() ?? freemem(),
    async createSession(model: Uint8Array<ArrayBuffer>, { kept = [], ...asked }: SessionOptions) {
      const session = provider === "webgpu" ? { ...asked, kept } : asked; // elsewhere nothing is kept back
      try {
        const created = await ort.InferenceSession.create(model, {
          ...sessionOptions(session),
          ...keptOutputs(session),
          executionProviders,
          intraOpNumThreads: threads,
        });
        return new OrtSession(ort, created, session, inTurn);
      } catch (cause) {
        throw runtimeError(cause, "The runtime refused the model");
      }
    },
  };
}

export interface CpuOptions {
  /** Default: the cores, at most 8. */
  readonly threads?: number;
}

/** The CPU of this machine. Errors: DEVICE_BAD_THREADS, OPTIONAL_DEPENDENCY_MISSING. */
export const openCpu = async ({ threads }: CpuOptions = {}): Promise<Device> =>
  nativeDevice("cpu", threadCount(threads), ["cpu"]);

/**
 * A GPU through onnxruntime-node; `threads` serve what has no kernel there.
 * Errors: DEVICE_UNAVAILABLE, DEVICE_BAD_THREADS, OPTIONAL_DEPENDENCY_MISSING.
 */
async function openGpu(provider: "webgpu" | "cuda", threads: number): Promise<Device> {
  const queue = new TaskQueue();
  const inTurn: InTurn = (task) => queue.addOrRun(task);
  const device = await nativeDevice(provider, threadCount(threads), gpuProviders[provider], inTurn);
  const oneByOne: Device = {
    ...device,
    createSession: (model, options) =>
      queue.add(async () => {
        const session = await device.createSession(model, options);
        return {
          run: (feeds, outputs) => queue.add(() => session.run(feeds, outputs)),
          [Symbol.dispose]: () => inTurn(() => session[Symbol.dispose]()),
        };
      }),
  };
  await tryDevice(oneByOne, gpuHints[provider]);
  return oneByOne;
}

const gpuProviders = {
  webgpu: ["webgpu"],
  // float32 products stay float32: TensorFloat-32 keeps 10 bits
  cuda: [{ name: "cuda", use_tf32: "0" } as { name: "cuda" }],
} as const;

const gpuHints = {
  webgpu: "It needs a GPU driver: Vulkan on Linux, Direct3D 12 on Windows, Metal on macOS. Use --device cpu.",
  cuda: "onnxruntime-node's CUDA files come with its install script (npm rebuild onnxruntime-node --ignore-scripts=false) and need CUDA 12 and cuDNN 9. Or use --device webgpu.",
} as const;

/** Names that `openDevice` takes. */
export const deviceNames = ["cpu", "webgpu", "cuda", "wasm"] as const satisfies readonly Provider[];

export interface DeviceOptions {
  /** What computes, one of `deviceNames`; the CPU when absent. */
  readonly device?: string;
  /** Threads of the processor; 2 when absent. The same number gives the same bits. */
  readonly threads?: number;
}

/** The device of that name. Errors: DEVICE_UNKNOWN, DEVICE_UNAVAILABLE, DEVICE_BAD_THREADS, OPTIONAL_DEPENDENCY_MISSING. */
export async function openDevice({ device = "cpu", threads = 2 }: DeviceOptions = {}): Promise<Device> {
  switch (device) {
    case "cpu":
      return openCpu({ threads });
    case "webgpu":
    case "cuda":
      return openGpu(device, threads);
    case "wasm":
      return openWasm({ threads });
    default:
      throw new NextxError("DEVICE_UNKNOWN", `There is no device "${device}".`, {
        path: "device",
        hint: `There is ${deviceNames.join(", ")}.`,
      });
  }
}

/** Processor, cores and threads: what timings depend on, without a name of the machine. */
export function machineClass({ threads, runtime }: Device): string {
  const all = cpus();
  return `${all[0]?.model.trim() ?? "unknown"}, ${all.length} cores, ${threads} threads, ${runtime}, Node ${process.version}`;
}
