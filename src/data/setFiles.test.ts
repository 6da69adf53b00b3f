import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sha256Hex } from "../formats/durable.node.ts";
import { type DataHome, dataHomes } from "./homes.ts";
import { fetchSetFiles, inspectSetFiles } from "./setFiles.node.ts";
import { type FileServer, startFileServer } from "./testing/fileServer.ts";

const plain = new TextEncoder().encode("plain bytes");
const packed = gzipSync("packed bytes");
let [root, folder] = ["", ""];
let server: FileServer;
let home: DataHome & { readonly files: readonly object[] };

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "nextx-set-"));
  folder = join(root, "set");
  server = await startFileServer(packed);
  server.fault = (_, response, { url }) => {
    response.end(url === "/files/b.gz" ? packed : plain);
    return true;
  };
  home = {
    folder: "set",
    source: "a test",
    baseUrl: server.url.replace("file.bin", "files/"),
    files: [
      {
        name: "a.bin",
        contentSha256: sha256Hex(plain),
        download: { sizeBytes: plain.length, sha256: sha256Hex(plain) },
      },
      {
        name: "b.gz",
        contentSha256: sha256Hex("packed bytes"),
        download: { sizeBytes: packed.length, sha256: sha256Hex(packed) },
      },
    ],
  };
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

const states = async () => {
  const { state, files } = await inspectSetFiles(home, root);
  return [state, ...files.map((file) => file.state)];
};

describe("inspecting", () => {
  test("missing, damaged and present, whatever packed it", async () => {
    expect(await states()).toEqual(["missing", "missing", "missing"]);
    await mkdir(folder);
    await writeFile(join(folder, "b.gz"), gzipSync("packed bytes", { level: 0 }));
    expect(await states()).toEqual(["missing", "missing", "present"]);
    await writeFile(join(folder, "a.bin"), "other bytes");
    expect(await states()).toEqual(["damaged", "damaged", "present"]);
    await writeFile(join(folder, "a.bin"), plain);
    expect(await states()).toEqual(["present", "present", "present"]);
    await writeFile(join(folder, "b.gz"), packed.subarray(0, 20));
    expect(await states()).toEqual(["damaged", "present", "damaged"]);
  });

  test("a folder in a file's place is damage; abort is heard", async () => {
    await mkdir(join(folder, "a.bin"), { recursive: true });
    expect(await states()).toEqual(["damaged", "damaged", "missing"]);
    const aborted = inspectSetFiles(home, root, AbortSignal.abort());
    await expect(aborted).rejects.toMatchObject({ code: "ABORTED" });
  });
});

describe("fetching", () => {
  test("what is missing or damaged comes, what is good stays", async () => {
    await mkdir(folder);
    await writeFile(join(folder, "a.bin"), plain);
    await writeFile(join(folder, "b.gz"), "damaged");
    const seen: string[] = [];
    const onProgress = (name: string, received: number, total: number) =>
      seen.push(`${name} ${received}/${total}`);
    expect(await fetchSetFiles("set", home, root, { onProgress })).toEqual([
      { name: "a.bin", did: "kept" },
      { name: "b.gz", did: "downloaded" },
    ]);
    expect(await readFile(join(folder, "b.gz"))).toEqual(packed);
    expect(server.asked.map(({ url }) => url)).toEqual(["/files/b.gz"]);
    expect(seen).toEqual([`b.gz ${packed.length}/${packed.length}`]);
    expect(await states()).toEqual(["present", "present", "present"]);
  });

  test("files without a home are named before anything is fetched", async () => {
    const [first, second] = home.files;
    const { download: _, ...homeless } = second as (typeof home.files)[1]; // there are two
    const half = { ...home, instead: "Ask a friend.", files: [first, homeless] } as DataHome;
    await expect(fetchSetFiles("set", half, root)).rejects.toMatchObject({
      code: "DATA_NO_HOME",
      path: "set/b.gz",
      hint: "Ask a friend.",
    });
    expect(server.asked).toEqual([]);
  });
});

test("the table of homes is well formed", () => {
  for (const home of Object.values<DataHome>(dataHomes)) {
    expect(new Set(home.files.map(({ name }) => name)).size).toBe(home.files.length);
    for (const { name, contentSha256, download } of home.files) {
      expect(name).toMatch(/^[a-z0-9-]+\.[a-z0-9]+$/);
      expect(contentSha256).toMatch(/^[0-9a-f]{64}$/);
      if (download) expect(download.sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(Boolean(home.baseUrl)).toBe(Boolean(download));
    }
    expect(home.baseUrl ?? "https://x/").toMatch(/^https:.*\/$/);
    expect(Boolean(home.baseUrl)).toBe(!home.instead);
  }
});
