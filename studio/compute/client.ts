/**
 * A computing worker, from the page: starts it when it is first needed, and again after a failure that a runtime does not
 * survive.
 */
import { ApiError } from "../apiError.ts";
import type { DeviceInfo, FromWorker, PlainError, Task, TaskEvents, ToWorker } from "./messages.ts";

type AnyEvent = TaskEvents[keyof TaskEvents];

interface Pending {
  onEvent(event: AnyEvent): void;
  onEnd(error?: PlainError): void;
}

/** A task in hand. */
export interface Running<K extends keyof TaskEvents> {
  /** Until it is over. Errors: ApiError with the worker's code; AbortError after `signal`. */
  readonly events: AsyncGenerator<TaskEvents[K]>;
  /** Held work waits before its next step. */
  hold(held: boolean): void;
}

/** What a runtime does not survive: the next task gets a new one. */
const isFatal = ({ code }: PlainError): boolean => /^(DEVICE_|RUNTIME_|OPTIONAL_|INTERNAL|PAGE_)/.test(code);

export class PageCompute {
  readonly #files: string;
  readonly #onDevice: (device: DeviceInfo) => void;
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | undefined;
  #nextId = 1;

  /** `files` is the absolute address of the folder of the runtime's files. */
  constructor(files: string, onDevice: (device: DeviceInfo) => void) {
    this.#files = files;
    this.#onDevice = onDevice;
  }

  /** Starts at once; whoever stops pulling the events cancels. */
  start<T extends Task>(task: T, signal?: AbortSignal): Running<T["name"]> {
    const id = this.#nextId++;
    this.#worker ??= this.#open();
    const worker = this.#worker;
    const queue: AnyEvent[] = [];
    let wake = (): void => undefined;
    let over: { readonly error?: PlainError } | undefined;
    this.#pending.set(id, {
      onEvent: (event) => {
        queue.push(event);
        wake();
      },
      onEnd: (error) => {
        this.#pending.delete(id);
        over = { ...(error && { error }) };
        if (error && isFatal(error)) this.#end(worker);
        wake();
      },
    });
    const send = (message: ToWorker) => worker.postMessage(message);
    const cancel = () => {
      send({ kind: "cancel", id });
      wake();
    };
    signal?.addEventListener("abort", cancel, { once: true });
    send({ kind: "start", id, task });
    if (signal?.aborted) cancel();
    async function* events(): AsyncGenerator<TaskEvents[T["name"]]> {
      try {
        for (;;) {
          for (let event = queue.shift(); event !== undefined; event = queue.shift())
            yield event as TaskEvents[T["name"]]; // the worker answers a task with its own events
          signal?.throwIfAborted();
          if (over?.error) throw new ApiError({ type: "", param: null, ...over.error });
          if (over) return;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      } finally {
        signal?.removeEventListener("abort", cancel);
        if (over === undefined) cancel();
      }
    }
    return { events: events(), hold: (held) => send({ kind: "hold", id, held }) };
  }

  /** Starts the runtime before it is needed. */
  warm(): void {
    this.#worker ??= this.#open();
  }

  /** Ends the worker and gives its memory back; the next task starts another. Errors of tasks in hand: COMPUTE_CRASHED. */
  close(): void {
    if (this.#worker) this.#end(this.#worker);
  }

  #open(): Worker {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data: message }: MessageEvent<FromWorker>) => {
      if (message.kind === "device") return this.#onDevice(message.device);
      const pending = this.#pending.get(message.id);
      if (message.kind === "event") pending?.onEvent(message.event);
      else pending?.onEnd(message.kind === "failed" ? message.error : undefined);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#end(worker, {
        code: "PAGE_NO_WORKER",
        message: "The part of the page that computes could not be started.",
        hint: "Use a current browser, reload the page, or let a server compute: npx nextx serve.",
      });
    };
    worker.postMessage({ kind: "open", files: this.#files } satisfies ToWorker);
    return worker;
  }

  /** Ends a worker; what still waits for it fails. */
  #end(worker: Worker, error?: PlainError): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    worker.terminate();
    const lost = error ?? {
      code: "COMPUTE_CRASHED",
      message: "The computing part of the page was started again.",
    };
    for (const { onEnd } of [...this.#pending.values()]) onEnd(lost);
  }
}
