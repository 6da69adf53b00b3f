import { describe, expect, it } from "vitest";
import { checkTree, sizeReport } from "../scripts/checkLayers.ts";

/** Violations as `file:line rule` of a tree written as an object. */
function broken(tree: Record<string, string>): string[] {
  return checkTree(new Map(Object.entries(tree))).map(({ file, line, rule }) => `${file}:${line} ${rule}`);
}

const from = (path: string) => `import { x } from "${path}";\n`;
const typesFrom = (path: string) => `import type { X } from "${path}";\n`;

describe("direction", () => {
  it("accepts an empty tree and imports that go down", () => {
    expect(broken({})).toEqual([]);
    expect(
      broken({
        "src/cli/main.ts": from("../index.ts") + from("../server/server.ts") + from("commander"),
        "src/index.ts": from("./evaluate/arena.ts") + from("./systems/var/model.ts"),
        "src/evaluate/arena.ts": from("../regimen/trainer.ts") + from("../decoding/loop.ts"),
        "src/regimen/trainer.ts": from("../codec/vq.ts") + from("../formats/npy.ts"),
        "src/data/synth.ts": from("../formats/npy.ts"),
        "src/nn/layers.ts": from("../tensor/tensor.ts") + typesFrom("../runtime/values.ts"),
      }),
    ).toEqual([]);
  });

  it.each([
    ["src/tensor/a.ts", "../runtime/b.ts"],
    ["src/runtime/a.ts", "../nn/b.ts"],
    ["src/formats/a.ts", "../data/b.ts"],
    ["src/nn/a.ts", "../codec/types.ts"],
    ["src/regimen/a.ts", "../systems/var/b.ts"],
    ["src/systems/var/a.ts", "../../evaluate/b.ts"],
    ["src/evaluate/a.ts", "../index.ts"],
    ["src/server/a.ts", "../cli/b.ts"],
    ["src/nn/a.ts", "../../scripts/b.ts"],
    ["src/nn/a.ts", "nextx"],
  ])("refuses %s importing %s", (file, target) => {
    expect(broken({ [file]: `\n${typesFrom(target)}` })).toEqual([`${file}:2 direction`]);
  });

  it("sees re-exports, import types, dynamic imports and worker URLs", () => {
    const ways = [
      `export { x } from "../nn/b.ts";`,
      `export * from "../nn/b.ts";`,
      `type T = import("../nn/b.ts").T;`,
      `const x = await import("../nn/b.ts");`,
      `const w = new Worker(new URL("../nn/b.ts", import.meta.url));`,
    ];
    expect(broken({ "src/tensor/a.ts": ways.join("\n") })).toEqual(
      ways.map((_, i) => `src/tensor/a.ts:${i + 1} direction`),
    );
  });

  it("ignores import statements inside strings and comments", () => {
    expect(
      broken({ "src/tensor/a.ts": `// import "../cli/a.ts"\nconst s = 'import "../cli/a.ts"';\n` }),
    ).toEqual([]);
  });

  it("refuses a folder without a place", () => {
    expect(broken({ "src/utils/a.ts": "" })).toEqual(["src/utils/a.ts:1 unknown-folder"]);
  });

  it("lets tests import anything, and nothing import tests", () => {
    expect(
      broken({
        "src/tensor/a.test.ts": from("../systems/var/b.ts") + from("node:fs"),
        "src/tensor/testing/check.ts": from("../../runtime/b.ts"),
        "test/a.test.ts": from("../src/cli/main.ts") + from("../scripts/run.js"),
      }),
    ).toEqual([]);
    expect(broken({ "src/nn/a.ts": from("../tensor/testing/check.ts") })).toEqual([
      "src/nn/a.ts:1 test-code",
    ]);
  });
});

describe("axes", () => {
  it("see engine, blocks and interfaces", () => {
    const targets = [
      "../tensor/a.ts",
      "../runtime/a.ts",
      "../nn/a.ts",
      "./b.ts",
      "../plan/types.ts",
      "../data/types.ts",
    ];
    const axes = ["codec", "context", "mixer", "conditioner", "head", "decoding"];
    const tree = axes.map((axis) => [
      `src/${axis}/a.ts`,
      [...targets, "../regimen/types.ts"].map(typesFrom).join(""),
    ]);
    expect(broken(Object.fromEntries(tree))).toEqual([]);
  });

  it.each([
    ["src/codec/a.ts", "../plan/scales.ts", "siblings"],
    ["src/decoding/a.ts", "../head/sampling.ts", "siblings"],
    ["src/head/a.ts", "../decoding/loop.ts", "siblings"],
    ["src/codec/a.ts", "../regimen/trainer.ts", "siblings"],
    ["src/codec/a.ts", "../data/synth.ts", "siblings"],
    ["src/codec/a.ts", "../formats/png.ts", "siblings"],
    ["src/codec/types.ts", "./vq.ts", "siblings"],
    ["src/codec/a.ts", "../systems/var/model.ts", "direction"],
  ])("refuse %s importing %s", (file, target, rule) => {
    expect(broken({ [file]: from(target) })).toEqual([`${file}:1 ${rule}`]);
  });
});

describe("systems and evaluate", () => {
  it("keep systems apart and out of evaluate", () => {
    expect(
      broken({
        "src/systems/sar/a.ts": from("../var/model.ts"),
        "src/systems/far/a.ts": `const all = await import("../registry.ts");\n`,
        "src/evaluate/arena.ts": from("../systems/var/model.ts"),
      }),
    ).toEqual([
      "src/evaluate/arena.ts:1 evaluate",
      "src/systems/far/a.ts:1 systems",
      "src/systems/sar/a.ts:1 systems",
    ]);
  });

  it("let a system use its own files and the interface, and the list use all", () => {
    expect(
      broken({
        "src/systems/var/a.ts": from("./model.ts") + from("../types.ts") + from("../../head/sampling.ts"),
        "src/systems/registry.ts": `const load = () => import("./var/a.ts");\n`,
      }),
    ).toEqual([]);
  });
});

describe("Node-only code", () => {
  it("is reached by import(), or from cli, server and other Node-only files", () => {
    expect(
      broken({
        "src/runtime/device.ts": `const m = await import("./device.node.ts");\n${typesFrom("./device.node.ts")}`,
        "src/runtime/device.node.ts": from("./files.node.ts") + from("node:fs") + from("onnxruntime-node"),
        "src/cli/main.ts": from("../runtime/device.node.ts") + from("node:fs"),
        "src/server/server.ts": from("../runtime/device.node.ts"),
      }),
    ).toEqual([]);
  });

  it("is refused elsewhere", () => {
    expect(
      broken({
        "src/runtime/device.ts": from("./device.node.ts"),
        "src/data/folder.ts": from("node:fs"),
        "src/index.ts": `export { open } from "./runtime/device.node.ts";\n`,
      }),
    ).toEqual([
      "src/data/folder.ts:1 node-only",
      "src/index.ts:1 node-only",
      "src/runtime/device.ts:1 node-only",
    ]);
  });
});

describe("extensions, studio, cycles", () => {
  it("wants .ts in relative imports", () => {
    expect(
      broken({ "src/nn/a.ts": from("./b") + from("./c.js") + from("./d.ts") + from("../../package.json") }),
    ).toEqual(["src/nn/a.ts:1 extension", "src/nn/a.ts:2 extension"]);
  });

  it("lets the studio import the public API only, with the line inside a Svelte file", () => {
    const page = `<h1>import "../src/nn/a.ts"</h1>\n<script lang="ts">\n${from("../src/index.ts")}${from("../src/nn/a.ts")}</script>\n`;
    expect(broken({ "studio/App.svelte": page, "studio/main.ts": from("./App.svelte") })).toEqual([
      "studio/App.svelte:4 studio",
    ]);
  });

  it("lets the studio import the public API of pages", () => {
    expect(broken({ "studio/worker.ts": from("../src/index.web.ts") + from("../src/load.web.ts") })).toEqual([
      "studio/worker.ts:2 studio",
    ]);
  });

  it("lets the studio see the server's limits, and types of its protocol", () => {
    const [limits, protocol] = ["../src/server/limits.ts", "../src/server/protocol.ts"];
    expect(broken({ "studio/a.ts": from(limits) + typesFrom(protocol) })).toEqual([]);
    expect(broken({ "studio/a.ts": from(protocol) + typesFrom("../src/server/app.ts") })).toEqual([
      "studio/a.ts:1 studio",
      "studio/a.ts:2 studio",
    ]);
  });

  it("finds each cycle once, types included, and allows a lazy way back", () => {
    const found = checkTree(
      new Map([
        ["src/nn/a.ts", from("./b.ts")],
        ["src/nn/b.ts", `\n${typesFrom("./c.ts")}`],
        ["src/nn/c.ts", from("./a.ts")],
        ["src/nn/self.ts", from("./self.ts")],
        ["src/nn/lazy.ts", `const m = await import("./back.ts");\n`],
        ["src/nn/back.ts", from("./lazy.ts")],
      ]),
    );
    expect(found.map(({ file, line, rule, message }) => `${file}:${line} ${rule}: ${message}`)).toEqual([
      "src/nn/a.ts:1 cycle: src/nn/a.ts -> src/nn/b.ts -> src/nn/c.ts -> src/nn/a.ts",
      "src/nn/self.ts:1 cycle: src/nn/self.ts -> src/nn/self.ts",
    ]);
  });
});

it("reports sizes and warns over 500 lines", () => {
  const report = sizeReport(
    new Map([
      ["src/nn/a.ts", "\n".repeat(501)],
      ["src/nn/a.test.ts", "\n".repeat(10)],
      ["studio/App.svelte", "\n".repeat(20)],
    ]),
  );
  expect(report).toContain("501  nn (1 files)");
  expect(report).toContain("521  code in 2 files");
  expect(report).toContain("10  tests and test helpers in 1 files");
  expect(report).toContain("warning: src/nn/a.ts has 501 lines, more than 500");
});
