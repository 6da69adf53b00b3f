/** Checkpoints on their way to the server. They go on while other pages of the studio are shown. */
import type { FileInfo } from "../src/server/modelProtocol.ts";
import { announceFile, sendFile } from "./modelsApi.ts";
import { isAbort, textOf } from "./problems.ts";
import { continueProblem } from "./uploadNames.ts";

export interface Coming {
  readonly id: string;
  readonly name: string;
  readonly done: number;
  readonly total: number;
}

export class Uploads {
  coming = $state.raw<Coming | undefined>(undefined);
  problem = $state("");
  /** Counts what came or stopped, so that a page knows when to look again. */
  changes = $state(0);
  #controller: AbortController | undefined;

  get isBusy(): boolean {
    return this.coming !== undefined;
  }

  /** One file after the other; each can be continued when it is stopped. */
  async take(files: Iterable<File>): Promise<void> {
    await this.#work(async (signal) => {
      for (const file of files) {
        this.coming = { id: "", name: file.name, done: 0, total: file.size };
        await this.#send(file, await announceFile(file), signal);
      }
    });
  }

  /** The rest of a file of which a part is there. */
  async resume(file: File, partial: FileInfo): Promise<void> {
    this.problem = continueProblem(file, partial);
    if (this.problem === "") await this.#work((signal) => this.#send(file, partial, signal));
  }

  stop(): void {
    this.#controller?.abort();
  }

  async #send(file: File, { id, received }: FileInfo, signal: AbortSignal): Promise<void> {
    const onProgress = (done: number, total: number) => {
      this.coming = { id, name: file.name, done, total };
    };
    onProgress(received, file.size);
    this.changes++;
    await sendFile(id, file, received, onProgress, signal);
    this.changes++;
  }

  async #work(send: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.#controller) {
      this.problem = "Another file is on its way: bring this one when it has come.";
      return;
    }
    const controller = new AbortController();
    this.#controller = controller;
    this.problem = "";
    try {
      await send(controller.signal);
    } catch (error) {
      if (!isAbort(error)) this.problem = textOf(error);
    } finally {
      this.#controller = undefined;
      this.coming = undefined;
      this.changes++;
    }
  }
}
