import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { sha256Hex } from "../formats/durable.node.ts";
import type { DownloadProgress } from "./download.node.ts";
import { content, sha256, useDownloads } from "./testing/downloads.ts";
import { cutAfter } from "./testing/fileServer.ts";

const at = useDownloads();

/** The first request is cut off after 70,000 bytes. */
function cutFirst(): void {
  at.server.fault = (i, response) => {
    if (i === 0) cutAfter(response, content, 70_000, at.server.etag);
    return i === 0;
  };
}

describe("a good server", () => {
  test("the whole file, with progress, and nothing else in the folder", async () => {
    const seen: DownloadProgress[] = [];
    const result = await at.get({ onProgress: (progress) => seen.push(progress) });
    expect(result).toEqual({ path: at.path, sizeBytes: 200_000, resumedBytes: 0, attempts: 1 });
    expect(await at.isWhole()).toBe(true);
    expect(await at.names()).toEqual(["file.bin"]);
    expect(seen.at(-1)).toEqual({ receivedBytes: 200_000, totalBytes: 200_000, resumedBytes: 0, attempt: 1 });
  });

  test("an empty file", async () => {
    at.server.content = new Uint8Array();
    const result = await at.get({}, { sha256: sha256Hex(new Uint8Array()) });
    expect([result.sizeBytes, (await readFile(at.path)).length]).toEqual([0, 0]);
  });

  test("a file that stands there is replaced", async () => {
    await at.get();
    await writeFile(at.path, "damaged");
    await at.get();
    expect(await at.isWhole()).toBe(true);
  });
});

describe("interrupted and resumed", () => {
  test("the next try asks for the rest of the same version", async () => {
    cutFirst();
    expect(await at.get()).toMatchObject({ attempts: 2, resumedBytes: 0 });
    expect(at.server.asked[1]).toMatchObject({ range: "bytes=70000-", ifRange: '"1"' });
    expect(await at.isWhole()).toBe(true);
  });

  test("the next process goes on", async () => {
    cutFirst();
    await expect(at.get({ attempts: 1 })).rejects.toMatchObject({ code: "DOWNLOAD_INTERRUPTED" });
    expect((await at.names()).sort()).toEqual(["file.bin.part", "file.bin.part.json"]);
    expect(await at.get()).toMatchObject({ attempts: 1, resumedBytes: 70_000 });
    expect(await at.isWhole()).toBe(true);
    expect(await at.names()).toEqual(["file.bin"]);
  });

  test("without ranges the whole file comes again", async () => {
    at.server.ranges = false;
    cutFirst();
    expect(await at.get()).toMatchObject({ attempts: 2 });
    expect(await at.isWhole()).toBe(true);
  });

  test("without ETag the checksum decides", async () => {
    at.server.etag = undefined;
    cutFirst();
    await at.get();
    expect(at.server.asked[1]).toMatchObject({ range: "bytes=70000-", ifRange: undefined });
    expect(await at.isWhole()).toBe(true);
  });

  test("a file that changed between the parts is fetched whole", async () => {
    const old = content.map((byte) => byte ^ 1);
    at.server.fault = (i, response) => {
      if (i === 0) cutAfter(response, old, 70_000, '"0"');
      return i === 0;
    };
    await at.get();
    expect(at.server.asked[1]).toMatchObject({ ifRange: '"0"' });
    expect(await at.isWhole()).toBe(true);
  });

  test("a change that the at.server does not tell is found by the checksum, and cured", async () => {
    at.server.etag = undefined;
    at.server.fault = (i, response) => {
      if (i === 0)
        cutAfter(
          response,
          content.map((byte) => byte ^ 1),
          70_000,
        );
      return i === 0;
    };
    expect(await at.get()).toMatchObject({ attempts: 3 });
    expect(at.server.asked[2]?.range).toBeUndefined();
    expect(await at.isWhole()).toBe(true);
  });

  test("a damaged part of full length is fetched again", async () => {
    cutFirst();
    await expect(at.get({ attempts: 1 })).rejects.toMatchObject({ code: "DOWNLOAD_INTERRUPTED" });
    await writeFile(`${at.path}.part`, new Uint8Array(200_000));
    await at.get({}, { sizeBytes: 200_000 });
    expect(await at.isWhole()).toBe(true);
  });

  test.each([
    ["longer than the file", async () => writeFile(`${at.path}.part`, new Uint8Array(300_000))],
    ["of another file", async () => writeFile(`${at.path}.part.json`, '{"url":"http://x/","checksum":"0"}')],
    ["with a torn note", async () => writeFile(`${at.path}.part.json`, '{"url":')],
  ])("a part %s is dropped", async (_, damage) => {
    cutFirst();
    await expect(at.get({ attempts: 1 })).rejects.toMatchObject({ code: "DOWNLOAD_INTERRUPTED" });
    await damage();
    await at.get();
    expect(await at.isWhole()).toBe(true);
  });

  test("an answer with another range is not believed", async () => {
    at.server.fault = (i, response) => {
      if (i === 0) cutAfter(response, content, 70_000, '"1"');
      if (i === 1) response.writeHead(206, { "content-range": "bytes 5-9/200000" }).end("hello");
      return i < 2;
    };
    expect(await at.get()).toMatchObject({ attempts: 3 });
    expect(await at.isWhole()).toBe(true);
  });
});

describe("wrong files", () => {
  test("a wrong checksum leaves nothing, and an older file as it was", async () => {
    await at.get();
    at.server.content = content.slice().fill(1, 5, 9);
    await expect(at.get()).rejects.toMatchObject({ code: "DOWNLOAD_WRONG_CHECKSUM", path: at.server.url });
    expect(await at.names()).toEqual(["file.bin"]);
    expect(await at.isWhole()).toBe(true);
  });

  test("a at.server that never sends all is given up", async () => {
    at.server.fault = (_, response) => {
      cutAfter(response, content, 1000, '"1"');
      return true;
    };
    at.server.ranges = false;
    await expect(at.get({ attempts: 3 })).rejects.toMatchObject({ code: "DOWNLOAD_INTERRUPTED" });
    expect(at.server.asked.length).toBe(3);
    expect(existsSync(at.path)).toBe(false);
  });

  test("a shorter body without a length is found by the known size", async () => {
    at.server.fault = (_, response) => {
      response.write(content.subarray(0, 500));
      response.end();
      return true;
    };
    const failed = at.get({ attempts: 2 }, { sizeBytes: 200_000 });
    await expect(failed).rejects.toMatchObject({ code: "DOWNLOAD_INTERRUPTED" });
  });

  test("another size than known is refused before anything comes", async () => {
    await expect(at.get({}, { sizeBytes: 100 })).rejects.toMatchObject({ code: "DOWNLOAD_WRONG_SIZE" });
    expect(await at.names()).toEqual([]);
  });

  test.each([true, false])("more than allowed is refused (length told: %s)", async (tells) => {
    at.server.fault = (_, response) => {
      if (!tells) {
        response.write(content);
        response.end();
      }
      return !tells;
    };
    await expect(at.get({ maxBytes: 1000 })).rejects.toMatchObject({ code: "DOWNLOAD_TOO_LARGE" });
    expect(await at.names()).toEqual([]);
  });

  test("packed content that was not asked for", async () => {
    at.server.fault = (_, response) => {
      response.writeHead(200, { "content-encoding": "zstd" }).end("x");
      return true;
    };
    await expect(at.get()).rejects.toMatchObject({ code: "DOWNLOAD_BAD_RESPONSE" });
  });
});

test.each([
  { url: "ftp://127.0.0.1/x" },
  { url: "nothing" },
  { url: "https://user:word@127.0.0.1/x" },
  { sha256: sha256.toUpperCase() },
  { sizeBytes: -1 },
  { sizeBytes: Number.NaN },
])("refuses %o", async (more) => {
  await expect(at.get({}, more)).rejects.toMatchObject({ code: "DOWNLOAD_BAD_REQUEST" });
  expect(at.server.asked).toEqual([]);
});
