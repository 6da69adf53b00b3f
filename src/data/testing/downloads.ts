/** A fresh folder and server for each test of downloads. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { sha256Hex } from "../../formats/durable.node.ts";
import { type DownloadOptions, type DownloadResult, downloadFile } from "../download.node.ts";
import { type FileServer, startFileServer } from "./fileServer.ts";

/** What the server serves. */
export const content: Uint8Array<ArrayBuffer> = Uint8Array.from(
  { length: 200_000 },
  (_, i) => (i * 7919) >> 5,
);
export const sha256: string = sha256Hex(content);

/** The current test's server and file. */
export class Downloads {
  path = "";
  #folder = "";
  #server: FileServer | undefined;

  get server(): FileServer {
    if (!this.#server) throw new Error("no test is running");
    return this.#server;
  }

  async start(): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), "nextx-download-"));
    this.path = join(this.#folder, "set", "file.bin");
    await this.startAgain();
  }

  /** A new server after the test stopped the old one. */
  async startAgain(): Promise<void> {
    this.#server = await startFileServer(content);
  }

  async stop(): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Downloads the server's file, with short pauses. */
  get(
    options: DownloadOptions = {},
    more: { sizeBytes?: number; url?: string; sha256?: string } = {},
  ): Promise<DownloadResult> {
    const request = { url: this.server.url, path: this.path, sha256, ...more };
    return downloadFile(request, { pauseMs: 1, ...options });
  }

  /** Files in the target's folder. */
  names(): Promise<string[]> {
    return readdir(join(this.#folder, "set"));
  }

  /** Whether the file stands there and is right. */
  async isWhole(): Promise<boolean> {
    return sha256Hex(await readFile(this.path)) === sha256;
  }
}

/** Starts and stops a server around each test of the calling file. */
export function useDownloads(): Downloads {
  const downloads = new Downloads();
  beforeEach(() => downloads.start());
  afterEach(() => downloads.stop());
  return downloads;
}
