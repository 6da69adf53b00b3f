/**
 * Devices of a page or worker on onnxruntime-web: WebGPU and wasm. A run blocks its thread on wasm, so pages compute in a
 * dedicated worker. The runtime's files are served by the page's own server; `runtimeFiles` names them.
 */
import { NextxError } from "../tensor/errors.ts";
import type { Device, Session } from "./device.ts";
import { tryDevice, unavailable } from "./providers.ts";
import {
  configureRuntime,
  type OrtWeb,
  runtimeName,
  servedFiles,
  WebSessions,
  wasmDevice,
} from "./wasmDevice.ts";

export interface WasmOptions {
  /** URL of the folder with the `runtimeFiles`, ending in a slash. */
  readonly files: string;
  /** Default: the cores, at most 8, in a cross-origin isolated page; 1 elsewhere. */
  readonly threads?: number;
}

/**
 * wasm in this page or worker. More than one thread needs cross-origin isolation: the headers
 * `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy: require-corp`.
 * Errors: DEVICE_UNAVAILABLE (files missing, or threads without isolation), DEVICE_BAD_THREADS.
 */
export async function openWasm({ files, threads }: WasmOptions): Promise<Device> {
  const isolated = isIsolated();
  const count = threads ?? (isolated ? Math.min(8, navigator.hardwareConcurrency || 1) : 1);
  if (count > 1 && !isolated) throw needsIsolation(`${count} threads`);
  return wasmDevice(await load(() => import("onnxruntime-web/wasm")), count, absolute(files));
}

export interface WebGpuOptions {
  /** URL of the folder with the `runtimeFiles`, ending in a slash. */
  readonly files: string;
  /** Use a GPU that is emulated on the CPU too (default true); such a one is far slower than wasm. */
  readonly software?: boolean;
  /** Compute ops without a GPU kernel on the CPU (default true); when false such a model is refused. */
  readonly cpuFallback?: boolean;
}

/**
 * WebGPU in this page or worker, with the limits of the adapter. When the GPU is lost, runs fail with DEVICE_LOST: open
 * another device and compile again.
 * Errors: DEVICE_UNAVAILABLE (no WebGPU, no adapter, files missing).
 */
export async function openWebGpu(options: WebGpuOptions): Promise<Device> {
  const { files, software = true, cpuFallback = true } = options;
  const gpu = await requestGpu(software);
  const canSuspend = "Suspending" in WebAssembly;
  const ort = await load(() =>
    canSuspend ? import("onnxruntime-web/jspi") : import("onnxruntime-web/webgpu"),
  );
  configureRuntime(ort, 1, absolute(files)); // threads would serve the CPU's share only
  const sessions = new WebSessions(ort);
  const lost = watchLoss(gpu);
  const extra = { disable_cpu_ep_fallback: cpuFallback ? "0" : "1" };
  const device: Device = {
    provider: "webgpu",
    threads: 1,
    runtime: runtimeName(ort),
    availableMemoryBytes: () => Number.POSITIVE_INFINITY, // no browser tells
    joinsOutputs: true,
    maxTensorBytes: Math.min(gpu.limits.maxBufferSize, gpu.limits.maxStorageBufferBindingSize),
    async createSession(model, session) {
      const provider = { name: "webgpu" as const, device: gpu };
      return guard(await lost.during(sessions.create(model, session, [provider], extra)), lost);
    },
  };
  await tryDevice(device, servedFiles);
  return device;
}

/** A GPU with all that its adapter can give. */
async function requestGpu(software: boolean): Promise<GPUDevice> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter)
    throw unavailable("webgpu", navigator.gpu ? "no adapter was found." : "the browser has no WebGPU.");
  if (adapter.info.isFallbackAdapter && !software) {
    throw unavailable("webgpu", "the only adapter is software, slower than wasm.");
  }
  const { limits, features } = adapter;
  const raised = [
    "maxBufferSize",
    "maxStorageBufferBindingSize",
    "maxStorageBuffersPerShaderStage",
    "maxComputeWorkgroupStorageSize",
    "maxComputeInvocationsPerWorkgroup",
    "maxComputeWorkgroupSizeX",
    "maxComputeWorkgroupSizeY",
    "maxComputeWorkgroupSizeZ",
    "maxComputeWorkgroupsPerDimension",
  ] as const;
  const wanted: GPUFeatureName[] = ["shader-f16", "subgroups"];
  try {
    return await adapter.requestDevice({
      requiredLimits: Object.fromEntries(raised.map((name) => [name, limits[name]])),
      requiredFeatures: wanted.filter((name) => features.has(name)),
    });
  } catch (cause) {
    throw unavailable("webgpu", "the adapter gave no device.", { cause });
  }
}

/** Turns failures of a lost GPU into DEVICE_LOST. */
interface LossWatch {
  during<T>(work: Promise<T>): Promise<T>;
}

function watchLoss(gpu: GPUDevice): LossWatch {
  let error: NextxError | undefined;
  const lost = gpu.lost.then(({ reason, message }) => {
    error = new NextxError("DEVICE_LOST", `The GPU was lost (${reason}). ${message}`.trim(), {
      hint: "Open the device again, or use wasm.",
    });
  });
  return {
    async during(work) {
      try {
        return await work;
      } catch (cause) {
        // The runtime's own failure may arrive shortly before the browser says why.
        await Promise.race([lost, new Promise((resolve) => setTimeout(resolve, 100))]);
        throw error ?? cause;
      }
    },
  };
}

const guard = (session: Session, lost: LossWatch): Session => ({
  run: (feeds, outputs) => lost.during(session.run(feeds, outputs)),
  [Symbol.dispose]: () => session[Symbol.dispose](),
});

export interface OpenedDevice {
  readonly device: Device;
  /** Why what comes before it in the order could not be used. */
  readonly skipped: readonly NextxError[];
}

/**
 * The fastest device that works here: WebGPU on a real GPU, else wasm with threads, else wasm with one thread.
 * Errors: DEVICE_UNAVAILABLE when not even one thread of wasm works.
 */
export async function openFastest(options: WasmOptions): Promise<OpenedDevice> {
  const skipped: NextxError[] = [];
  try {
    return { device: await openWebGpu({ files: options.files, software: false }), skipped };
  } catch (error) {
    skipped.push(expected(error));
  }
  if (isIsolated()) return { device: await openWasm(options), skipped };
  if (options.threads !== 1) skipped.push(needsIsolation("more than one thread"));
  return { device: await openWasm({ ...options, threads: 1 }), skipped };
}

const isIsolated = (): boolean => globalThis.crossOriginIsolated === true;

const needsIsolation = (what: string): NextxError =>
  unavailable("wasm", `${what} needs a cross-origin isolated page.`, {
    hint: "Send the COOP and COEP headers, or use one thread.",
  });

function expected(error: unknown): NextxError {
  if (error instanceof NextxError) return error;
  throw error;
}

async function load(build: () => Promise<OrtWeb>): Promise<OrtWeb> {
  try {
    return await build();
  } catch (cause) {
    throw new NextxError("OPTIONAL_DEPENDENCY_MISSING", "onnxruntime-web could not be loaded.", { cause });
  }
}

/** A worker made from a blob resolves no relative address. */
const absolute = (files: string): string => new URL(files, globalThis.location?.href).href;
