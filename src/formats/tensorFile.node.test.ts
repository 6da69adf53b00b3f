import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, expect, test } from "vitest";
import { type HostTensor, hostTensor } from "./hostTensor.ts";
import { writeNpy } from "./npy.ts";
import { openSafetensors, writeSafetensorsFile } from "./safetensors.node.ts";
import { writeSafetensors } from "./safetensors.ts";
import { openTensors } from "./tensorFile.node.ts";
import { codeOf } from "./testing/hostile.ts";
import { join, op, torchZip, zip } from "./testing/torchFile.ts";

const root = mkdtempSync(joinPath(tmpdir(), "nextx-tensors-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const w = hostTensor("F32", [2], Float32Array.of(1, 2));
const v = hostTensor("I64", [1], BigInt64Array.of(3n));
const one = (name: string, tensor: HostTensor) => writeSafetensors(new Map([[name, tensor]]));

/** A fresh folder with these files. */
function folderOf(files: Readonly<Record<string, Uint8Array | string>>): string {
  const folder = mkdtempSync(joinPath(root, "f-"));
  for (const [name, content] of Object.entries(files)) writeFileSync(joinPath(folder, name), content);
  return folder;
}
const index = (map: unknown) => JSON.stringify({ metadata: { total_size: 16 }, weight_map: map });
const good = { "a-1.safetensors": one("w", w), "a-2.safetensors": one("v", v) };
const goodMap = { w: "a-1.safetensors", v: "a-2.safetensors" };
const name = "model.safetensors.index.json";

test("several files with an index are one checkpoint, also named by their folder", async () => {
  const folder = folderOf({ ...good, [name]: index(goodMap) });
  for (const path of [folder, joinPath(folder, name)]) {
    await using file = await openTensors(path);
    expect(file.format).toBe("sharded");
    expect(file.sizeBytes).toBe(good["a-1.safetensors"].length + good["a-2.safetensors"].length);
    expect(await file.dict().readAll()).toEqual(
      new Map<string, HostTensor>([
        ["w", w],
        ["v", v],
      ]),
    );
    expect(await codeOf(() => file.dict("model"))).toBe("CHECKPOINT_NO_KEY");
    expect(await codeOf(() => file.dict().read("x"))).toBe("SHARDS_NO_TENSOR");
  }
});

test("an index of PyTorch files", async () => {
  const data = new Uint8Array(Float32Array.of(1, 2).buffer);
  const tensor = op.tensor(op.storage("FloatStorage", "0", 2), 0, [2], [1]);
  const bin = torchZip(op.pickle(op.dict(op.text("w"), tensor)), { 0: data });
  await using file = await openTensors(
    folderOf({ "p-1.bin": bin, "pytorch_model.bin.index.json": index({ w: "p-1.bin" }) }),
  );
  expect(await file.dict().read("w")).toEqual(w);
});

test("a hub cache: names in one folder link to contents in another", async () => {
  const blobs = folderOf({ one: good["a-1.safetensors"], two: good["a-2.safetensors"], map: index(goodMap) });
  const snapshot = joinPath(root, "snapshot");
  mkdirSync(snapshot);
  for (const [link, blob] of [
    ["a-1.safetensors", "one"],
    ["a-2.safetensors", "two"],
    [name, "map"],
  ] as const)
    symlinkSync(joinPath(blobs, blob), joinPath(snapshot, link));
  await using file = await openTensors(snapshot);
  expect(await file.dict().read("v")).toEqual(v);
});

test.each<[string, Record<string, Uint8Array | string>, string]>([
  [
    "a missing file",
    { "a-1.safetensors": good["a-1.safetensors"], [name]: index(goodMap) },
    "SHARDS_MISSING_FILE",
  ],
  [
    "a tensor that no file has",
    { ...good, [name]: index({ ...goodMap, x: "a-1.safetensors" }) },
    "SHARDS_CONTRADICT",
  ],
  [
    "a tensor that the index does not name",
    {
      ...good,
      [name]: index({ w: goodMap.w }),
      "a-1.safetensors": writeSafetensors(
        new Map<string, HostTensor>([
          ["w", w],
          ["z", v],
        ]),
      ),
    },
    "SHARDS_CONTRADICT",
  ],
  [
    "a tensor in another file",
    { ...good, [name]: index({ w: "a-2.safetensors", v: "a-1.safetensors" }) },
    "SHARDS_CONTRADICT",
  ],
  ["a path upwards", { ...good, [name]: index({ w: "../a-1.safetensors" }) }, "SHARDS_BAD_NAME"],
  ["an absolute path", { ...good, [name]: index({ w: "/etc/passwd" }) }, "SHARDS_BAD_NAME"],
  ["a folder below", { ...good, [name]: index({ w: "x/a-1.safetensors" }) }, "SHARDS_BAD_NAME"],
  ["a device name with a colon", { ...good, [name]: index({ w: "c:a.safetensors" }) }, "SHARDS_BAD_NAME"],
  ["a hidden file", { ...good, [name]: index({ w: ".a" }) }, "SHARDS_BAD_NAME"],
  ["look-alike dots", { ...good, [name]: index({ w: "\u2024\u2024/a" }) }, "SHARDS_BAD_NAME"],
  ["a NUL", { ...good, [name]: index({ w: "a\0.safetensors" }) }, "SHARDS_BAD_NAME"],
  ["a number for a file", { ...good, [name]: index({ w: 1 }) }, "SHARDS_BAD_INDEX"],
  ["a list for a map", { ...good, [name]: index(["w"]) }, "SHARDS_BAD_INDEX"],
  ["no tensors", { ...good, [name]: index({}) }, "SHARDS_BAD_INDEX"],
  [
    "numbers without end",
    { ...good, [name]: `{"weight_map": {"w": "a-1.safetensors"}, "metadata": [${"1,".repeat(300_000)}1]}` },
    "SHARDS_BAD_INDEX",
  ],
  ["itself", { [name]: index({ w: name }) }, "SHARDS_BAD_INDEX"],
  [
    "one name twice",
    { ...good, [name]: '{"weight_map": {"w": "a-1.safetensors", "w": "a-2.safetensors"}}' },
    "SHARDS_BAD_INDEX",
  ],
  ["cut JSON", { ...good, [name]: '{"weight_map": {"w": "a-1' }, "SHARDS_BAD_INDEX"],
  ["other JSON", { [name]: '{"model": 1}' }, "CHECKPOINT_WRONG_KIND"],
  [
    "a damaged file",
    { ...good, "a-2.safetensors": good["a-2.safetensors"].slice(0, -1), [name]: index(goodMap) },
    "SAFETENSORS_TRUNCATED",
  ],
  [
    "a picture for a file",
    { ...good, "a-2.safetensors": "\x89PNG\r\n\x1a\n", [name]: index(goodMap) },
    "CHECKPOINT_WRONG_KIND",
  ],
  [
    "arrays and a note in one archive",
    {
      "a.npz": zip([
        { name: "w.npy", data: writeNpy(w) },
        { name: "readme.txt", data: join("x") },
      ]),
    },
    "NPZ_NOT_ARRAYS",
  ],
  ["nothing", {}, "CHECKPOINT_FOLDER"],
  ["two checkpoints", good, "CHECKPOINT_FOLDER"],
])("a folder with %s", async (_, files, code) => {
  expect(await codeOf(() => openTensors(folderOf(files)))).toBe(code);
});

test("one tensor of a large storage takes its own bytes, after one look at all of them", async () => {
  const values = Float32Array.from({ length: 1000 }, (_, i) => i);
  const storage = op.storage("FloatStorage", "0", 1000);
  const dict = op.dict(
    op.text("row"),
    op.tensor(storage, 10, [5], [1]),
    op.text("column"),
    op.tensor(storage, 3, [4], [100]),
    op.text("last"),
    op.tensor(storage, 999, [1], [1]),
  );
  const path = joinPath(root, "views.pth");
  const bytes = torchZip(op.pickle(dict), { 0: new Uint8Array(values.buffer) });
  writeFileSync(path, bytes);
  await using file = await openTensors(path);
  const data = async (tensor: string) => [...((await file.dict().read(tensor)).data as Float32Array)];
  expect(await data("row")).toEqual([10, 11, 12, 13, 14]);
  expect(await data("column")).toEqual([3, 103, 203, 303]);
  expect(await data("last")).toEqual([999]);
  bytes[Buffer.from(bytes).indexOf(Buffer.from(values.buffer)) + 4000 - 8] = 77; // not a byte of these tensors
  writeFileSync(path, bytes);
  await using damaged = await openTensors(path);
  expect(await codeOf(() => damaged.dict().read("row"))).toBe("ZIP_CRC");
});

test("writing tensor by tensor gives the same file as writing at once", async () => {
  const tensors = new Map<string, HostTensor>([
    ["w", w],
    ["v", v],
    ["e", hostTensor("F16", [0], new Uint16Array(0))],
  ]);
  const path = joinPath(root, "stream.safetensors");
  const read = async (tensor: string) => tensors.get(tensor) as HostTensor; // asked for by its names
  const { sizeBytes } = await writeSafetensorsFile(path, { tensors, read }, { a: "b" });
  const whole = writeSafetensors(tensors, { a: "b" });
  expect(sizeBytes).toBe(whole.length);
  await using file = await openSafetensors(path);
  expect(file.sizeBytes).toBe(whole.length);
  expect(await file.read("v")).toEqual(v);
  const lying = { tensors, read: async () => w };
  expect(await codeOf(() => writeSafetensorsFile(path, lying))).toBe("TENSOR_SIZE_MISMATCH");
  await using still = await openSafetensors(path);
  expect(still.metadata.get("a")).toBe("b");
});
