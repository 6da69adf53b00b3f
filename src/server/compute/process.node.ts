/** The server's side of its computing process: starts it, starts it again when it ended, kills it when it does not stop. */
import { type ChildProcess, fork } from "node:child_process";
import { NextxError } from "../../tensor/errors.ts";
import { arrivedError } from "../errors.ts";
import type { Batch, BatchResult, BatchStep, Compute, FromCompute, ToCompute } from "./messages.ts";

export interface ComputeOptions {
  readonly device: string;
  readonly threads: number;
  readonly version: string;
  /** A cancelled batch that goes on for longer ends with its process. */
  readonly stopMs?: number;
  readonly onExit?: () => void;
}

interface Pending {
  readonly id: number;
  readonly onStep: (step: BatchStep) => void;
  readonly resolve: (result: BatchResult) => void;
  readonly reject: (error: NextxError) => void;
}

/** Ends before ever being ready: after so many in a row the device counts as lost. */
const maxFailedStarts = 3;

export class ComputeProcess implements Compute, Disposable {
  readonly #entry: URL;
  readonly #options: ComputeOptions;
  #child: ChildProcess | undefined;
  #pending: Pending | undefined;
  #nextId = 1;
  #failedStarts = 0;
  #disposed = false;
  #onReady: () => void = () => undefined;
  #onLost: (error: NextxError) => void = () => undefined;
  /** Once it can compute. Errors: DEVICE_UNAVAILABLE and the other codes of `openDevice`, COMPUTE_CRASHED. */
  readonly started: Promise<void>;

  constructor(entry: URL, options: ComputeOptions) {
    this.#entry = entry;
    this.#options = options;
    this.started = new Promise((resolve, reject) => {
      this.#onReady = resolve;
      this.#onLost = reject;
    });
    this.started.catch(() => undefined); // who does not wait for it finds the device lost
    this.#start();
  }

  /** Whether it still makes sense to send work. */
  get isLost(): boolean {
    return this.#failedStarts >= maxFailedStarts;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async run(batch: Batch, onStep: (step: BatchStep) => void, signal: AbortSignal): Promise<BatchResult> {
    const child = this.#child ?? this.#start();
    const id = this.#nextId++;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const cancel = () => {
      this.#send(child, { kind: "cancel", id });
      timer = setTimeout(() => child.kill("SIGKILL"), this.#options.stopMs ?? 30_000);
    };
    try {
      return await new Promise<BatchResult>((resolve, reject) => {
        this.#pending = { id, onStep, resolve, reject };
        this.#send(child, { kind: "run", id, batch });
        if (signal.aborted) cancel();
        else signal.addEventListener("abort", cancel, { once: true });
      });
    } finally {
      this.#pending = undefined;
      signal.removeEventListener("abort", cancel);
      clearTimeout(timer);
    }
  }

  #send(child: ChildProcess, message: ToCompute): void {
    if (child.connected) child.send(message, () => undefined); // a lost channel is followed by the exit event
  }

  #start(): ChildProcess {
    const { device, threads, version } = this.#options;
    const child = fork(this.#entry, [device, String(threads), version], {
      serialization: "advanced",
      execArgv: [],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    let wasReady = false;
    child.on("message", (message: FromCompute) => {
      if (message.kind === "ready") {
        wasReady = true;
        this.#failedStarts = 0;
        this.#onReady();
        return;
      }
      if (message.kind === "refused") {
        this.#failedStarts = maxFailedStarts; // another try would end alike
        this.#onLost(arrivedError(message.error));
        return;
      }
      const pending = this.#pending;
      if (pending?.id !== message.id) return; // of a batch that was given up
      if (message.kind === "step") pending.onStep(message.step);
      else if (message.kind === "finished") pending.resolve(message.result);
      else pending.reject(arrivedError(message.error));
    });
    const gone = () => {
      if (this.#child !== child) return;
      this.#child = undefined;
      if (!wasReady) this.#failedStarts++;
      const crashed = new NextxError("COMPUTE_CRASHED", "The computing process ended.");
      this.#pending?.reject(crashed);
      if (this.isLost) this.#onLost(crashed);
      this.#options.onExit?.();
      if (!this.#disposed && !this.isLost) this.#start();
    };
    child.on("exit", gone);
    child.on("error", gone);
    this.#child = child;
    return child;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#child?.kill("SIGKILL");
  }
}
