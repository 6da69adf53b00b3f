/** A page of tests: a TypeScript entry bundled for the browser, served with the runtime's files and models on 127.0.0.1. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "tsdown";

const types: Readonly<Record<string, string>> = {
  ".mjs": "text/javascript",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
};
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export interface PageServer extends AsyncDisposable {
  /** Imports the entry; ends in a slash. The page is cross-origin isolated. */
  readonly url: string;
  /** The same page without the isolation headers. */
  readonly plainUrl: string;
  /** Folder with the files of onnxruntime-web, as pages see it. */
  readonly files: string;
}

/** Bundles `entry` (relative to `root`, the repository) and serves it until disposed. */
export async function servePage(root: string, entry: string): Promise<PageServer> {
  mkdirSync(join(root, ".build"), { recursive: true });
  const folder = mkdtempSync(join(root, ".build/page-"));
  await bundle(root, entry, folder);
  const runtime = join(root, "node_modules/onnxruntime-web/dist");
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? "/", "http://page").pathname;
    if (!path.startsWith("/plain/"))
      for (const [name, value] of Object.entries(isolation)) response.setHeader(name, value);
    if (path === "/" || path === "/plain/") {
      response.setHeader("Content-Type", "text/html");
      response.end(
        '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page/page.js"></script>',
      );
      return;
    }
    const [, place = "", file = ""] = /^\/(page|runtime|models)\/([\w.-]+(?:\/[\w.-]+)?)$/.exec(path) ?? [];
    const places: Readonly<Record<string, string>> = { page: folder, runtime, models: join(root, "models") };
    try {
      const bytes = await readFile(join(places[place] ?? "", file));
      response.setHeader("Content-Type", types[extname(file)] ?? "application/octet-stream");
      response.setHeader("Cross-Origin-Resource-Policy", "same-origin");
      response.end(bytes);
    } catch {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP server
  return {
    url: `${origin}/`,
    plainUrl: `${origin}/plain/`,
    files: "/runtime/",
    async [Symbol.asyncDispose]() {
      rmSync(folder, { recursive: true, force: true });
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function bundle(root: string, entry: string, outDir: string): Promise<void> {
  await build({
    config: false,
    cwd: root,
    entry: { page: entry },
    outDir,
    clean: false,
    dts: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
    fixedExtension: false,
    deps: { alwaysBundle: [/.*/], onlyBundle: false },
    inputOptions: {
      resolve: { conditionNames: ["onnxruntime-web-use-extern-wasm", "import", "browser", "default"] },
    },
    logLevel: "silent",
    report: false,
  });
}

/** The repository, for tests that vitest runs from their own place. */
export const repository = fileURLToPath(new URL("../..", import.meta.url));
