/** Files and models through `nextx serve`: bringing a checkpoint in parts, looking, converting, quantising, exporting. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSafetensors } from "../src/formats/safetensors.node.ts";
import { readSafetensors, writeSafetensors } from "../src/formats/safetensors.ts";
import type { FileInfo, Inspection } from "../src/server/modelProtocol.ts";
import type { OperationInfo } from "../src/server/runProtocol.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "nextx-server-models-"));
let child: ChildProcess;
let url = "";
afterAll(() => {
  child?.kill("SIGKILL");
  rmSync(work, { recursive: true, force: true });
}, 60_000);

beforeAll(async () => {
  child = spawn(
    process.execPath,
    [join(root, "bin/nextx.js"), "serve", "--json", "--port=0", "--runs=runs"],
    { cwd: work },
  );
  url = await new Promise<string>((resolve, reject) => {
    let text = "";
    const read = (data: Buffer) => {
      text += data;
      const found = /"url":"([^"]+)"/.exec(text)?.[1];
      if (found) resolve(found);
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.on("exit", (code) => reject(new Error(`exit ${code}: ${text}`)));
  });
}, 240_000);

const post = (path: string, body: unknown): Promise<Response> =>
  fetch(`${url}v1/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
const json = async <T>(path: string): Promise<T> => (await (await fetch(`${url}v1/${path}`)).json()) as T;
const part = (id: string, offset: number, bytes: Uint8Array): Promise<Response> =>
  fetch(`${url}v1/files/${id}/parts?offset=${offset}`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body: Uint8Array.from(bytes),
  });

/** Brings a file in parts of a size. */
async function bring(name: string, bytes: Uint8Array, partBytes = 2 ** 20): Promise<string> {
  const { id } = (await (await post("files", { name, sizeBytes: bytes.length })).json()) as FileInfo;
  for (let at = 0; at < bytes.length; at += partBytes)
    expect((await part(id, at, bytes.subarray(at, at + partBytes))).status).toBe(200);
  return id;
}

/** Waits for work that was accepted. */
async function done(response: Response): Promise<OperationInfo> {
  const accepted = (await response.json()) as OperationInfo;
  expect(response.status, JSON.stringify(accepted)).toBe(202);
  await (await fetch(`${url}v1/operations/${accepted.id}/events`)).text();
  return json<OperationInfo>(`operations/${accepted.id}`);
}

const shipped = (): Uint8Array => readFileSync(join(root, "models/synth-32/model.safetensors"));

/** A shipped model's tensors under the names of its authors' two files. */
async function officialFiles(): Promise<{ transformer: Uint8Array; tokenizer: Uint8Array }> {
  const { tensors } = readSafetensors(shipped());
  const some = (prefix: string) =>
    writeSafetensors(
      new Map(
        [...tensors].flatMap(([name, tensor]) =>
          name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : [],
        ),
      ),
    );
  return { transformer: some("var."), tokenizer: some("vae.") };
}

describe("files", { timeout: 300_000 }, () => {
  it("takes a checkpoint in parts, says what it is, and gives it back", async () => {
    const bytes = shipped();
    const id = await bring("mine.safetensors", bytes);
    const info = await json<FileInfo>(`files`).then(
      (list) => (list as unknown as { data: FileInfo[] }).data[0],
    );
    expect(info).toMatchObject({ id, name: "mine.safetensors", isWhole: true, received: bytes.length });
    const found = await json<Inspection>(`files/${id}/inspection`);
    expect(found).toMatchObject({ kind: "model", system: "var" });
    expect(found.tensorCount).toBeGreaterThan(100);
    expect(JSON.stringify(found)).not.toContain(work);
    const back = new Uint8Array(
      await (await fetch(`${url}v1/files/${id}/content/mine.safetensors`)).arrayBuffer(),
    );
    const descriptors = () => (existsSync("/proc/self/fd") ? readdirSync(`/proc/${child.pid}/fd`).length : 0);
    const before = descriptors();
    for (let i = 0; i < 20; i++) {
      const asked = await fetch(`${url}v1/files/${id}/content/mine.safetensors`, { method: "HEAD" });
      expect([asked.status, await asked.text()]).toEqual([200, ""]);
    }
    await expect.poll(descriptors).toBeLessThan(before + 10); // the file was not left open
    expect(back).toEqual(new Uint8Array(bytes));
    await expect
      .poll(async () => (await json<{ data: { id: string }[] }>("models")).data.map((model) => model.id), {
        timeout: 30_000,
      })
      .toContain(`file:${id}`);
    expect((await fetch(`${url}v1/files/${id}`, { method: "DELETE" })).status).toBe(204);
    expect((await fetch(`${url}v1/files/${id}/content/mine.safetensors`)).status).toBe(404);
  });

  it.each([
    ["empty.pth", new Uint8Array([0])],
    ["picture.safetensors", new TextEncoder().encode("\x89PNG\r\n\x1a\n and so on")],
    ["page.pth", new TextEncoder().encode("<!doctype html><title>404</title>")],
    ["lie.safetensors", new Uint8Array([255, 255, 255, 255, 255, 255, 255, 127, 123, 125])],
    ["bomb.npz", new TextEncoder().encode("PK\x03\x04 this is no archive")],
  ])("says what is wrong with %s, in a coded error", async (name, bytes) => {
    const id = await bring(name, bytes);
    const response = await fetch(`${url}v1/files/${id}/inspection`);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect(response.status, JSON.stringify(error)).toBe(400);
    expect(error.code).toMatch(/^(SAFETENSORS|CHECKPOINT|PTH|PICKLE|ZIP|NPZ)_/);
    expect(error.message).not.toContain(work);
  });

  it("bounds names, sizes and parts", async () => {
    for (const name of ["../x.pth", "a/b.pth", "x.exe", ".pth", `${"x".repeat(200)}.pth`])
      expect((await post("files", { name, sizeBytes: 10 })).status, name).toBe(400);
    expect((await post("files", { name: "x.pth", sizeBytes: 2 ** 40 })).status).toBe(400);
    const { id } = (await (await post("files", { name: "x.pth", sizeBytes: 10 })).json()) as FileInfo;
    expect((await part(id, 5, new Uint8Array(5))).status).toBe(409);
    expect((await part(id, 0, new Uint8Array(11))).status).toBe(409);
    expect((await part(id, 0, new Uint8Array(9 * 2 ** 20))).status).toBe(413);
    expect((await part(id, 0, new Uint8Array(4))).status).toBe(200);
    expect((await fetch(`${url}v1/files/${id}/inspection`)).status).toBe(409);
    for (const other of ["..", "nobody-000000", "%2e%2e"])
      expect((await fetch(`${url}v1/files/${other}/inspection`)).status, other).toBe(404);
    expect((await fetch(`${url}v1/files/${id}/content/record.json`)).status).toBe(404);
    expect(existsSync(join(work, "runs/.files", id, "record.json"))).toBe(true);
  });
});

describe("work on models", { timeout: 600_000 }, () => {
  it("converts published files that belong together into a model that makes pictures", async () => {
    const { transformer, tokenizer } = await officialFiles();
    const one = await bring("var_small.safetensors", transformer);
    const two = await bring("vae_small.safetensors", tokenizer);
    const settings = { "tokenizer.numGroups": 8, "tokenizer.patchSize": 2, "tokenizer.inChannels": 3 };
    const { state, result, error, request } = await done(
      await post("conversions", { files: [one, two], settings }),
    );
    expect(error).toBeUndefined();
    expect(state).toBe("finished");
    expect(result).toMatchObject({ system: "var", isModel: true, problems: [] });
    const out = "out" in request ? request.out : "";
    await expect
      .poll(async () => (await json<{ data: { id: string }[] }>("models")).data.map((model) => model.id), {
        timeout: 30_000,
      })
      .toContain(`file:${out}`);
    const picture = await post("generate", { model: `file:${out}`, class: 1, previews: false });
    expect(await picture.text()).toContain("event: finished");
  });

  it("says which tensors do not fit, and makes nothing", async () => {
    const { transformer } = await officialFiles();
    const { tensors } = readSafetensors(transformer);
    const [first = ""] = tensors.keys();
    const broken = writeSafetensors(new Map([...tensors].filter(([name]) => name !== first)));
    const id = await bring("broken.safetensors", broken);
    const { state, error } = await done(await post("conversions", { files: [id] }));
    expect(state).toBe("failed");
    expect(error?.code).toMatch(/^(CONVERT|CONFIG)_/);
  });

  it("quantises and exports a model, and hands out the files", async () => {
    const quantised = await done(await post("quantizations", { model: "synth-32", to: "int8", count: 1 }));
    expect(quantised).toMatchObject({
      state: "finished",
      result: { bits: expect.any(Number), layers: expect.any(Number) },
    });
    const name = "synth-32-int8.safetensors";
    const out = "out" in quantised.request ? quantised.request.out : "";
    const bytes = new Uint8Array(await (await fetch(`${url}v1/files/${out}/content/${name}`)).arrayBuffer());
    expect(readSafetensors(bytes).metadata.size).toBeGreaterThan(0);
    const exported = await done(await post("exports", { model: "synth-32" }));
    expect(exported.state).toBe("finished");
    const folder = "out" in exported.request ? exported.request.out : "";
    const { data } = await json<{ data: FileInfo[] }>("files");
    const parts = data.find(({ id }) => id === folder)?.parts.map((one) => one.name);
    expect(parts).toEqual(expect.arrayContaining(["manifest.json", "weights.safetensors"]));
    const manifest = await json<{ model: { name: string } }>(`files/${folder}/content/manifest.json`);
    expect(manifest.model.name).toBe("synth-32");
    await using file = await openSafetensors(
      join(work, "runs/.files", folder, "synth-32-onnx/weights.safetensors"),
    );
    expect(file.tensors.size).toBeGreaterThan(10);
  });

  it("refuses models that are not there, and numbers out of bounds", async () => {
    expect((await post("quantizations", { model: "../x", to: "int8" })).status).toBe(404);
    expect((await post("quantizations", { model: "synth-32", to: "int2" })).status).toBe(400);
    expect((await post("quantizations", { model: "synth-32", to: "int8", count: 0 })).status).toBe(400);
    expect((await post("exports", { model: "synth-32", schedule: [0] })).status).toBe(400);
    expect((await post("conversions", { files: ["nobody-000000"] })).status).toBe(404);
  });

  it("shows the card of a shipped model", async () => {
    expect(await json("models/synth-32/card")).toMatchObject({
      card: { system: "var", licence: expect.any(String) },
    });
  });
});
