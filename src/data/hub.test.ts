/** Files of a hub by id, against a local server that speaks its API. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import { sha256Hex } from "../formats/durable.node.ts";
import { codeOf } from "../formats/testing/hostile.ts";
import { listHub, parseHubName, pullFromHub } from "./hub.node.ts";

const root = mkdtempSync(join(tmpdir(), "nextx-hub-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folder = "";

const commit = "0123456789abcdef0123456789abcdef01234567";
const gitSha1 = (bytes: Buffer) =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

/** A repository, its faults, and what was asked. */
class Hub {
  readonly files = new Map<string, Buffer>();
  readonly asked: string[] = [];
  /** Changes the listing before it is sent. */
  change: (listing: Record<string, unknown>) => unknown = (listing) => listing;
  /** Breaks the first answers with content after this many bytes. */
  cuts = 0;
  /** Breaks the listing; "silent" sends nothing more instead. */
  listing: "whole" | "cut" | "silent" = "whole";
  ranges = 0;
  address = "";
  readonly #http = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", this.address);
    this.asked.push(pathname);
    if (pathname === "/api/models/owner/name/revision/main" && searchParams.get("blobs") === "true") {
      const text = JSON.stringify(this.change(this.#listing()));
      if (this.listing === "whole") response.end(text);
      else response.writeHead(200, { "content-length": text.length }).write(text.slice(0, 9));
      if (this.listing === "cut") setTimeout(() => response.destroy(), 50);
      return;
    }
    // The hub redirects content to another address.
    const content = /^\/(owner\/name\/resolve\/[0-9a-f]{40}|cdn)\/(.+)$/.exec(pathname);
    const bytes = this.files.get(decodeURIComponent(content?.[2] ?? ""));
    if (!content || !bytes) {
      response.writeHead(404).end();
    } else if (content[1] !== "cdn") {
      response.writeHead(302, { location: `/cdn/${content[2]}` }).end();
    } else {
      this.#send(bytes, request.headers.range, response);
    }
  });

  #listing(): Record<string, unknown> {
    const siblings = [...this.files].map(([rfilename, bytes]) =>
      bytes.length > 1000
        ? {
            rfilename,
            size: bytes.length,
            blobId: "0".repeat(40),
            lfs: { sha256: sha256Hex(bytes), size: bytes.length, pointerSize: 130 },
          }
        : { rfilename, size: bytes.length, blobId: gitSha1(bytes) },
    );
    return { id: "owner/name", sha: commit, siblings, tags: [] };
  }

  #send(bytes: Buffer, range: string | undefined, response: import("node:http").ServerResponse): void {
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    if (from > 0) this.ranges++;
    response.setHeader("etag", '"1"');
    if (from > 0) response.setHeader("content-range", `bytes ${from}-${bytes.length - 1}/${bytes.length}`);
    response.writeHead(from > 0 ? 206 : 200, { "content-length": bytes.length - from });
    if (this.cuts-- > 0)
      response.write(bytes.subarray(from, from + 20_000), () => setTimeout(() => response.destroy(), 300));
    else response.end(bytes.subarray(from));
  }

  async start(): Promise<void> {
    await new Promise<void>((done) => this.#http.listen(0, "127.0.0.1", done));
    this.address = `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`; // listens on TCP
  }

  async stop(): Promise<void> {
    this.#http.closeAllConnections();
    await new Promise((done) => this.#http.close(done));
  }
}

let hub = new Hub();
const large = Buffer.from(Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7919) >> 5));
beforeEach(async () => {
  hub = new Hub();
  await hub.start();
  folder = mkdtempSync(join(root, "f-"));
});
afterEach(() => hub.stop());

const pull = (name: string, more = {}) =>
  pullFromHub(name, folder, { hub: hub.address, pauseMs: 1, ...more });

test("names", async () => {
  expect(parseHubName("FoundationVision/var:var_d16.pth")).toEqual({
    id: "FoundationVision/var",
    file: "var_d16.pth",
  });
  expect(parseHubName("a/b")).toEqual({ id: "a/b" });
  for (const name of [
    "a",
    "a/b/c",
    "../b",
    "a/b:",
    "a/b:../x",
    "a/b:/x",
    "a/b:x/../y",
    "a/b:x\\y",
    "https://x/y",
    "a/b:.git/config",
  ])
    expect(await codeOf(() => parseHubName(name)), name).toBe("HUB_BAD_NAME");
});

test("a large file by SHA-256, resumed where it broke, at the commit that was listed", async () => {
  hub.files.set("weights/var_d16.pth", large);
  hub.cuts = 2;
  const seen: number[] = [];
  const onProgress = (_: string, received: number) => seen.push(received);
  const [path = ""] = await pull("owner/name:weights/var_d16.pth", { onProgress });
  expect(path).toBe(join(folder, "weights/var_d16.pth"));
  expect(readFileSync(path).equals(large)).toBe(true);
  expect(hub.ranges).toBeGreaterThan(0);
  expect(seen.at(-1)).toBe(large.length);
  expect(hub.asked).toContain(`/owner/name/resolve/${commit}/weights/var_d16.pth`);
  const before = hub.asked.length;
  await pull("owner/name:weights/var_d16.pth");
  expect(hub.asked.length).toBe(before + 1); // the listing only: the file is there and right
});

test("a small file by Git's SHA-1; the only checkpoint needs no name", async () => {
  hub.files.set("README.md", Buffer.from("# name\n"));
  hub.files.set("tiny.safetensors", Buffer.from("small but not empty"));
  const [path = ""] = await pull("owner/name");
  expect(readFileSync(path, "utf8")).toBe("small but not empty");
  hub.files.set("other.pth", large);
  await expect(pull("owner/name")).rejects.toMatchObject({
    code: "HUB_CHOOSE",
    hint: expect.stringContaining("owner/name:other.pth"),
  });
  expect(await codeOf(() => pull("owner/name:tiny.safetensor"))).toBe("HUB_NO_FILE");
  expect(await codeOf(() => pull("owner/none"))).toBe("DOWNLOAD_NOT_FOUND");
});

test("an index brings its files", async () => {
  const map = { weight_map: { w: "a-1.safetensors", v: "a-2.safetensors" } };
  hub.files.set("d/model.safetensors.index.json", Buffer.from(JSON.stringify(map)));
  hub.files.set("d/a-1.safetensors", large);
  hub.files.set("d/a-2.safetensors", large.subarray(0, 50_000));
  const paths = await pull("owner/name");
  expect(paths.map((path) => path.slice(folder.length + 1))).toEqual([
    "d/model.safetensors.index.json",
    "d/a-1.safetensors",
    "d/a-2.safetensors",
  ]);
});

test("content that is not what the listing says is not kept", async () => {
  hub.files.set("a.pth", large);
  hub.files.set("b.pth", Buffer.from("small"));
  hub.change = (listing) => {
    const wrong = Buffer.from(large);
    wrong[5] = 99;
    hub.files.set("a.pth", wrong);
    hub.files.set("b.pth", Buffer.from("other"));
    return listing;
  };
  expect(await codeOf(() => pull("owner/name:a.pth"))).toBe("DOWNLOAD_WRONG_CHECKSUM");
  hub.files.set("b.pth", Buffer.from("small"));
  expect(await codeOf(() => pull("owner/name:b.pth"))).toBe("DOWNLOAD_WRONG_CHECKSUM");
  writeFileSync(join(folder, "x"), "");
  expect(() => readFileSync(join(folder, "a.pth"))).toThrow();
});

test.each<[string, (listing: Record<string, unknown>) => unknown]>([
  ["no commit", ({ sha: _, ...rest }) => rest],
  ["a commit that is a path", (listing) => ({ ...listing, sha: "../../x" })],
  ["no files", ({ siblings: _, ...rest }) => rest],
  [
    "a checksum that is none",
    (listing) => ({ ...listing, siblings: [{ rfilename: "a", lfs: { sha256: "x", size: 1 } }] }),
  ],
  [
    "a negative size",
    (listing) => ({ ...listing, siblings: [{ rfilename: "a", lfs: { sha256: "0".repeat(64), size: -1 } }] }),
  ],
  ["a list", () => []],
])("an answer with %s", async (_, change) => {
  hub.files.set("a.pth", large);
  hub.change = change;
  expect(await codeOf(() => listHub("owner/name", { hub: hub.address }))).toBe("HUB_BAD_ANSWER");
});

test("a listing that is cut off, and one that the user cancels, end with a code", async () => {
  hub.listing = "cut";
  expect(await codeOf(() => listHub("owner/name", { hub: hub.address }))).toBe("DOWNLOAD_INTERRUPTED");
  hub.listing = "silent";
  const signal = AbortSignal.timeout(200);
  expect(await codeOf(() => listHub("owner/name", { hub: hub.address, signal }))).toBe("ABORTED");
});

test("a silent listing stalls even when the user may cancel it", async () => {
  hub.listing = "silent";
  const limit = AbortSignal.abort(new DOMException("too long", "TimeoutError"));
  const timeout = vi.spyOn(AbortSignal, "timeout").mockReturnValue(limit);
  const { signal } = new AbortController();
  expect(await codeOf(() => listHub("owner/name", { hub: hub.address, signal }))).toBe("DOWNLOAD_STALLED");
  timeout.mockRestore();
});

test("what lies where a file goes and cannot be read is an error with a code", async () => {
  mkdirSync(join(folder, "a.pth"));
  hub.files.set("a.pth", Buffer.alloc(statSync(join(folder, "a.pth")).size || 1, 1));
  const code = await codeOf(() => pull("owner/name:a.pth"));
  expect(code).toMatch(/^FILE_/);
});

test("a file name of the hub that leaves the folder is refused", async () => {
  hub.change = (listing) => ({
    ...listing,
    siblings: [{ rfilename: "../evil.pth", lfs: { sha256: "0".repeat(64), size: 1 } }],
  });
  expect(await codeOf(() => pull("owner/name"))).toBe("HUB_BAD_NAME");
});
