/**
 * Foreign extractors against their reference.json, from the folder NEXTX_DATA; tests of what it does not hold are skipped
 * and say so in their names. What needs no files (resizing, ONNX files, refusals) always runs.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { dataRootFromEnvironment } from "../../environment.node.ts";
import { sha256Hex } from "../../formats/durable.node.ts";
import { decodePng } from "../../formats/png.ts";
import { openCpu } from "../../runtime/device.node.ts";
import { exportOnnx } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats } from "../../runtime/values.ts";
import { mul } from "../../tensor/ops/elementwise.ts";
import { mean } from "../../tensor/ops/neural.ts";
import { float32, input } from "../../tensor/tensor.ts";
import { openMobileNetV2, openSqueezeNet, openTinyDarknet } from "./foreign.node.ts";
import { openNetwork } from "./network.ts";
import { openOnnxFeatures } from "./onnxFile.node.ts";
import { triangleMatrix } from "./pictures.ts";
import type { FeatureExtractor, Pictures } from "./types.ts";

const root = dataRootFromEnvironment();
const device = await openCpu({ threads: 1 });
const work = mkdtempSync(join(tmpdir(), "nextx-features-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const withCode = (code: string) => expect.objectContaining({ code });

type Reference = Record<string, Record<string, unknown>>;
const opens = {
  "weights-squeezenet-1.1": { open: openSqueezeNet, key: "fire9_mean_first8", dims: 512, classes: 0 },
  "weights-mobilenet-v2-int8": {
    open: openMobileNetV2,
    key: "feature1280_first8",
    dims: 1280,
    classes: 1001,
  },
  "weights-tiny-darknet": { open: openTinyDarknet, key: "feature512_mean_first8", dims: 512, classes: 1000 },
};

/** pixel = (7 y + 13 x + 29 c) mod 256 */
const ramp = Uint8Array.from({ length: 224 * 224 * 3 }, (_, i) => {
  const [c, x, y] = [i % 3, Math.floor(i / 3) % 224, Math.floor(i / 672)];
  return (7 * y + 13 * x + 29 * c) % 256;
});

function picture(name: string): Pictures {
  const pixels =
    name === "ramp"
      ? ramp
      : decodePng(readFileSync(join(root ?? "", "weights-test-images", name)), { path: name }).pixels;
  return { pixels, count: 1, size: 224 };
}

/** References have 5 decimals of float32 sums. */
function expectNear(actual: ArrayLike<number>, expected: readonly number[]): void {
  for (const [i, value] of expected.entries())
    expect(Math.abs((actual[i] as number) - value), `entry ${i}`).toBeLessThan(
      2e-4 * Math.max(1, Math.abs(value)),
    );
}

/** A test that needs folders under NEXTX_DATA. */
function itWith(name: string, folders: readonly string[], test: () => Promise<void>): void {
  const missing = folders.filter((folder) => root === undefined || !existsSync(join(root, folder)));
  const why = root === undefined ? "names no folder" : `does not hold ${missing.join(", ")}`;
  const reason = missing.length > 0 ? ` (skipped: NEXTX_DATA ${why})` : "";
  it.skipIf(missing.length > 0)(`${name}${reason}`, { timeout: 60_000 }, test);
}

describe("reference numbers", () => {
  describe.each(Object.entries(opens))("%s", (folder, { open, key, dims, classes }) => {
    itWith("are reproduced", [folder, "weights-test-images"], async () => {
      const home = join(root ?? "", folder);
      const reference = JSON.parse(readFileSync(join(home, "reference.json"), "utf8")) as Reference;
      using network = await open(home, { device, inputSize: 224 });
      expect(network.dims).toBe(dims);
      expect(readFileSync(join(home, "README.md"), "utf8")).toContain(network.sha256);
      expect(Object.keys(reference)).toHaveLength(3);
      for (const [name, wanted] of Object.entries(reference)) {
        const { features, logits } = await network.extract(picture(name));
        expect(features.dims).toBe(dims);
        expectNear(features.data, wanted[key] as number[]);
        expect(logits?.dims ?? 0).toBe(classes);
        if (logits === undefined) continue;
        expectNear(logits.data, wanted.logits_first8 as number[]);
        const order = Array.from(logits.data.keys()).sort(
          (a, b) => (logits.data[b] ?? 0) - (logits.data[a] ?? 0),
        );
        const top5 = wanted.top5 as [number, string, number][];
        expect(order.slice(0, 5)).toEqual(top5.map(([index]) => index));
        expectNear(
          order.map((index) => logits.data[index] as number),
          top5.map(([, , score]) => score),
        );
      }
    });
  });

  itWith("small pictures are enlarged, and batches change nothing", ["weights-squeezenet-1.1"], async () => {
    using network = await openSqueezeNet(join(root ?? "", "weights-squeezenet-1.1"), {
      device,
      inputSize: 64,
    });
    const pixels = Uint8Array.from({ length: 35 * 16 * 16 * 3 }, (_, i) => (i * 7919) % 256);
    const all = await network.features({ pixels, count: 35, size: 16 });
    const last = await network.features({ pixels: pixels.slice(34 * 768), count: 1, size: 16 });
    expectNear(all.data.slice(34 * 512), Array.from(last.data));
  });
});

describe("networks", () => {
  const channelMeans = async (inputSize: number): Promise<FeatureExtractor> =>
    openNetwork(
      {
        name: "means",
        sha256: "0".repeat(64),
        inputSize,
        weights: new Map([["w", floats([2], [1])]]),
        describe: (x) => ({ features: mul(mean(x, [2, 3]), input("w", float32(1))) }),
      },
      device,
    );

  it("see RGB from 0 to 255, resized without moving the mean", async () => {
    using network = await channelMeans(8);
    const pixels = Uint8Array.from({ length: 2 * 16 * 3 }, (_, i) => [10, 20, 250][i % 3] as number);
    const { data, dims, count } = await network.features({ pixels, count: 2, size: 4 });
    expect({ dims, count }).toEqual({ dims: 3, count: 2 });
    expectNear(data, [20, 40, 500, 20, 40, 500]);
    await expect(network.features({ pixels, count: 3, size: 4 })).rejects.toThrow(
      withCode("METRIC_BAD_SHAPE"),
    );
    await expect(network.features({ pixels, count: 2, size: 4 }, AbortSignal.abort())).rejects.toThrow(
      withCode("ABORTED"),
    );
  });

  it("resize with rows that sum to 1, the identity at equal sides, averages when shrinking", () => {
    expect([...triangleMatrix(3, 3)]).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1]);
    // Pillow, BILINEAR, [0, 100, 200, 300] to 2: 71.43 and 228.57 (weights 3, 3, 1 of 7)
    const half = triangleMatrix(4, 2);
    expect([...half.slice(0, 4)].map((w) => Math.round(7 * w))).toEqual([3, 3, 1, 0]);
    const twice = triangleMatrix(2, 4);
    expectNear(twice, [1, 0, 0.75, 0.25, 0.25, 0.75, 0, 1]);
  });

  it("may be an ONNX file with an output of a fixed width", async () => {
    const graph = trace({ x: float32("N", 3, 8, 8) }, ({ x }) => ({ map: x, pooled: mean(x, [2, 3]) }));
    const path = join(work, "pool.onnx");
    const bytes = exportOnnx(graph, new Map());
    writeFileSync(path, bytes);
    using network = await openOnnxFeatures(path, { device });
    expect(network).toMatchObject({
      name: "pool.onnx pooled",
      dims: 3,
      inputSize: 8,
      sha256: sha256Hex(bytes),
    });
    const pixels = Uint8Array.from({ length: 33 * 27 }, (_, i) => [0, 127.5, 255][i % 3] as number);
    const { data, count } = await network.features({ pixels, count: 33, size: 3 });
    expect(count).toBe(33);
    expectNear(data.slice(96), [-1, -0.5 / 127.5, 1]);
  });

  it("refuse files that are no such network", async () => {
    const path = join(work, "bad.onnx");
    const refused = async (bytes: Uint8Array, options = {}) => {
      writeFileSync(path, bytes);
      await expect(openOnnxFeatures(path, { device, ...options })).rejects.toThrow(
        withCode("FEATURES_BAD_ONNX"),
      );
    };
    await refused(new Uint8Array(0));
    await refused(Uint8Array.of(255, 1, 2, 3));
    const map = trace({ x: float32("N", 3, 8, 8) }, ({ x }) => ({ map: mul(x, 2) }));
    await refused(exportOnnx(map, new Map()));
    const pooled = trace({ x: float32("N", 3, 8, 8) }, ({ x }) => ({ pooled: mean(x, [2, 3]) }));
    await refused(exportOnnx(pooled, new Map()), { output: "other" });
    await refused(exportOnnx(pooled, new Map()), { inputSize: 16 });
    await expect(openSqueezeNet(work, { device })).rejects.toThrow(withCode("FILE_NOT_FOUND"));
    await expect(openSqueezeNet(work, { device, inputSize: 100 })).rejects.toThrow(
      withCode("FEATURES_BAD_SIZE"),
    );
  });
});
