/** What can go wrong around a download: status, redirects, silence, abort, two at once, a full disk. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { nodeFiles } from "../formats/durableLayer.node.ts";
import type { DownloadProgress } from "./download.node.ts";
import { content, useDownloads } from "./testing/downloads.ts";

const at = useDownloads();

describe("status and connection", () => {
  test.each([
    [404, "DOWNLOAD_NOT_FOUND", 1],
    [403, "DOWNLOAD_REFUSED", 1],
    [204, "DOWNLOAD_REFUSED", 1],
    [503, "DOWNLOAD_SERVER_ERROR", 3],
    [429, "DOWNLOAD_SERVER_ERROR", 3],
  ])("status %i is %s after %i tries", async (status, code, tries) => {
    at.server.fault = (_, response) => {
      response.writeHead(status).end();
      return true;
    };
    await expect(at.get({ attempts: 3 })).rejects.toMatchObject({ code });
    expect(at.server.asked.length).toBe(tries);
  });

  test("503 then ok, after the time that the at.server asked for", async () => {
    at.server.fault = (i, response) => {
      if (i === 0) response.writeHead(503, { "retry-after": "1" }).end();
      return i === 0;
    };
    const start = performance.now();
    expect(await at.get()).toMatchObject({ attempts: 2 });
    expect(performance.now() - start).toBeGreaterThan(950);
  });

  test("nobody listens", async () => {
    const { url } = at.server;
    await at.server[Symbol.asyncDispose]();
    await expect(at.get({ attempts: 2 }, { url })).rejects.toMatchObject({ code: "DOWNLOAD_UNREACHABLE" });
    await at.startAgain();
  });

  test("redirects are followed, not for ever", async () => {
    at.server.fault = (i, response, { url }) => {
      const goesOn = url !== "/there";
      if (goesOn) response.writeHead(302, { location: i < 3 ? "/on" : "/there" }).end();
      return goesOn;
    };
    await at.get();
    expect(await at.isWhole()).toBe(true);
    at.server.fault = (_, response) => {
      response.writeHead(301, { location: "/on" }).end();
      return true;
    };
    await expect(at.get()).rejects.toMatchObject({ code: "DOWNLOAD_BAD_REDIRECT" });
  });

  test.each([
    "ftp://127.0.0.1/x",
    "file:///etc/hosts",
    "data:,x",
    "http://a:b@127.0.0.1/",
    "http://",
    undefined,
  ])("a redirect to %s is refused", async (location) => {
    at.server.fault = (_, response) => {
      response.writeHead(302, location === undefined ? {} : { location }).end();
      return true;
    };
    await expect(at.get()).rejects.toMatchObject({ code: "DOWNLOAD_BAD_REDIRECT" });
    expect(at.server.asked.length).toBe(1);
  });

  test("from https to http is refused, the other way is not", async () => {
    const asked: string[] = [];
    const answers = (from: string, to: string) => async (url: string | URL | Request) => {
      asked.push(String(url));
      const isFirst = String(url) === from;
      return new Response(
        isFirst ? null : content,
        isFirst ? { status: 302, headers: { location: to } } : {},
      );
    };
    const [weak, strong] = ["http://home.test/x", "https://home.test/x"];
    const down = at.get({ fetch: answers(strong, weak) }, { url: strong });
    await expect(down).rejects.toMatchObject({ code: "DOWNLOAD_BAD_REDIRECT" });
    await at.get({ fetch: answers(weak, strong) }, { url: weak });
    expect(asked).toEqual([strong, weak, strong]);
  });
});

describe("time and abort", () => {
  test("abort keeps what was received, also during a pause", async () => {
    const controller = new AbortController();
    at.server.fault = (_, response) => {
      response.setHeader("etag", '"1"');
      response.setHeader("content-length", content.length);
      response.write(content.subarray(0, 50_000));
      return true;
    };
    const onProgress = ({ receivedBytes }: DownloadProgress) => {
      if (receivedBytes === 50_000) controller.abort();
    };
    const failed = at.get({ signal: controller.signal, onProgress });
    await expect(failed).rejects.toMatchObject({ code: "ABORTED" });
    expect((await readFile(`${at.path}.part`)).length).toBe(50_000);
    await expect(at.get({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
    at.server.fault = (_, response) => {
      response.writeHead(503).end();
      return true;
    };
    const paused = at.get({ signal: AbortSignal.timeout(100), pauseMs: 60_000 });
    await expect(paused).rejects.toMatchObject({ code: "ABORTED" });
  });

  test.each(["no answer", "a byte now and then"])("%s: given up, and tried again", async (kind) => {
    const timers: NodeJS.Timeout[] = [];
    at.server.fault = (i, response) => {
      if (i > 0) return false;
      response.setHeader("content-length", content.length);
      if (kind !== "no answer") timers.push(setInterval(() => response.write("x"), 20));
      return true;
    };
    await expect(at.get({ silenceMs: 200, attempts: 1 })).rejects.toMatchObject({ code: "DOWNLOAD_STALLED" });
    timers.forEach(clearInterval);
    await at.get({ silenceMs: 2000 });
    expect(await at.isWhole()).toBe(true);
  });
});

describe("disk", () => {
  test("two at once: neither leaves a wrong file", async () => {
    at.server.fault = (_, response) => {
      response.setHeader("content-length", content.length);
      response.write(content.subarray(0, 100_000));
      setTimeout(() => response.end(content.subarray(100_000)), 100);
      return true;
    };
    const ended = await Promise.allSettled([at.get({ attempts: 1 }), at.get({ attempts: 1 })]);
    for (const one of ended)
      if (one.status === "rejected") expect(one.reason).toMatchObject({ code: "DOWNLOAD_BUSY" });
    if (existsSync(at.path)) expect(await at.isWhole()).toBe(true);
  });

  test("a full disk is named, and the older file stays", async () => {
    await at.get();
    const full = Object.assign(new Error("full"), { code: "ENOSPC" });
    for (const name of [".part", ".part.json", ".tmp-"]) {
      const files = {
        ...nodeFiles,
        open: async (at: string, mode: "create" | "append") => {
          if (at.includes(name) && !(name === ".part" && at.endsWith(".json"))) throw full;
          return nodeFiles.open(at, mode);
        },
      };
      await expect(at.get({ files })).rejects.toMatchObject({ code: "FILE_NO_SPACE" });
      expect(await at.isWhole()).toBe(true);
    }
  });
});
