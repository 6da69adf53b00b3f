/** Builds the studio into dist/studio; `npx vite studio` serves it beside a running `nextx serve` while it is written. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defaultClientConditions, defineConfig } from "vite";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "./",
  plugins: [svelte()],
  publicDir: false,
  define: { __NEXTX_VERSION__: JSON.stringify(version) },
  // the runtime's wasm is served beside the page (runtimeFiles), not bundled
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
  worker: { format: "es" },
  build: {
    outDir: fileURLToPath(new URL("../dist/studio", import.meta.url)),
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    rolldownOptions: {
      checks: { pluginTimings: false },
      input: ["index.html", "offline/serviceWorker.ts"].map((path) =>
        fileURLToPath(new URL(path, import.meta.url)),
      ),
      output: {
        entryFileNames: ({ name }) => (name === "serviceWorker" ? "sw.js" : "assets/[name]-[hash].js"),
      },
    },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:7878", "/runtime": "http://127.0.0.1:7878" } },
});
