import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { NextxError } from "../tensor/errors.ts";
import {
  isTemporary,
  readFolderVerified,
  sha256Hex,
  verifyFolder,
  writeFileDurably,
  writeFolderDurably,
} from "./durable.node.ts";
import { type FileLayer, fileError, nodeFiles } from "./durableLayer.node.ts";
import { interceptFiles, MemoryFiles, systemError } from "./testing/failingFiles.node.ts";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "nextx-durable-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
const entries = new Map<string, Uint8Array | string>([
  ["a.bin", new Uint8Array([1, 2, 3])],
  ["empty.txt", ""],
]);

/** Runs `attempt` with the Nth call failing, for every N until no call fails; returns how many N there were. */
async function failEach(
  attempt: (files: FileLayer) => Promise<void>,
  check: (error: unknown, failedCall: string) => Promise<void>,
): Promise<number> {
  for (let n = 1; ; n++) {
    let failed = "";
    const files = interceptFiles(nodeFiles, (call, name) => {
      if (call !== n) return undefined;
      failed = name;
      return systemError("ENOSPC");
    });
    const error = await attempt(files).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (failed === "") return n - 1;
    await check(error, failed);
  }
}

describe("a file", () => {
  test("is created, replaced and leaves nothing else", async () => {
    const path = join(root, "x.json");
    await writeFileDurably(path, "one");
    await writeFileDurably(path, new Uint8Array(0));
    await writeFileDurably(path, "two");
    expect(await readFile(path, "utf8")).toBe("two");
    expect(await readdir(root)).toEqual(["x.json"]);
  });

  test("stays as it was when any call fails", async () => {
    const path = join(root, "x.json");
    await writeFileDurably(path, "old");
    const calls = await failEach(
      (files) => writeFileDurably(path, "new", { files }),
      async (error, failedCall) => {
        expect(error).toMatchObject({ code: "FILE_NO_SPACE" });
        expect(await readFile(path, "utf8")).toBe(failedCall === "syncFolder" ? "new" : "old");
        expect(await readdir(root)).toEqual(["x.json"]);
        await writeFileDurably(path, "old");
      },
    );
    expect(calls).toBe(6); // open, write, sync, close, rename, syncFolder
  });

  test.each(["all-lost", "names-kept"] as const)("is old or new after a power cut (%s)", async (kind) => {
    for (let n = 1, done = false; !done; n++) {
      const memory = new MemoryFiles();
      await writeFileDurably("/x", "old", { files: memory });
      const cut = interceptFiles(memory, (call) => (call >= n ? systemError("EIO") : undefined));
      done = await writeFileDurably("/x", "new", { files: cut }).then(
        () => true,
        () => false,
      );
      memory.cutPower(kind);
      const found = text(await memory.read("/x"));
      expect(done ? ["new"] : ["old", "new"]).toContain(found);
    }
  });

  test("names what went wrong", async () => {
    await expect(writeFileDurably(join(root, "no", "x"), "")).rejects.toMatchObject({
      code: "FILE_NOT_FOUND",
    });
    await mkdir(join(root, "folder"));
    await expect(writeFileDurably(join(root, "folder"), "")).rejects.toBeInstanceOf(NextxError);
    const codes = ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "ENOENT", "EEXIST", "EIO", "EMFILE"];
    expect(codes.map((code) => fileError(systemError(code), "x", "write").code)).toEqual([
      "FILE_NO_SPACE",
      "FILE_NO_SPACE",
      "FILE_READ_ONLY",
      "FILE_PERMISSION",
      "FILE_PERMISSION",
      "FILE_NOT_FOUND",
      "FILE_EXISTS",
      "FILE_IO",
      "FILE_IO",
    ]);
    expect(fileError("odd", "x", "write").code).toBe("FILE_IO");
  });
});

describe("a folder", () => {
  test("is read back, file by file", async () => {
    const path = join(root, "step-1");
    await writeFolderDurably(path, entries);
    expect(await readdir(root)).toEqual(["step-1"]);
    const found = await readFolderVerified(path);
    expect([...found.keys()]).toEqual(["a.bin", "empty.txt"]);
    expect(Array.from(found.get("a.bin") ?? [])).toEqual([1, 2, 3]);
    expect(await verifyFolder(path)).toEqual(["a.bin", "empty.txt"]);
    await expect(writeFolderDurably(path, entries)).rejects.toMatchObject({ code: "FILE_EXISTS" });
    expect(await readdir(root)).toEqual(["step-1"]);
  });

  test("appears whole or not at all when any call fails", async () => {
    const path = join(root, "step-1");
    const calls = await failEach(
      (files) => writeFolderDurably(path, entries, { files }),
      async (error, failedCall) => {
        expect(error).toMatchObject({ code: "FILE_NO_SPACE" });
        const left = await readdir(root);
        if (failedCall === "syncFolder" && left.length > 0) await verifyFolder(path);
        else expect(left).toEqual([]);
        await rm(path, { recursive: true, force: true });
      },
    );
    expect(calls).toBe(16); // makeFolder, three files of four calls, syncFolder, rename, syncFolder
  });

  test("leaves a recognisable name when even the removal fails", async () => {
    const files = interceptFiles(nodeFiles, (call, name) =>
      call === 4 || name === "remove" ? systemError("EIO") : undefined,
    );
    await expect(writeFolderDurably(join(root, "x"), entries, { files })).rejects.toMatchObject({
      code: "FILE_IO",
    });
    const left = await readdir(root);
    expect(left.map(isTemporary)).toEqual([true]);
    expect(["step-1", "a.tmp", "LATEST.tmp-1-zz"].map(isTemporary)).toEqual([false, false, false]);
  });

  test.each(["all-lost", "names-kept"] as const)(
    "is whole or absent after a power cut (%s)",
    async (kind) => {
      for (let n = 1, done = false; !done; n++) {
        const memory = new MemoryFiles();
        const cut = interceptFiles(memory, (call) => (call >= n ? systemError("EIO") : undefined));
        done = await writeFolderDurably("/step-1", entries, { files: cut }).then(
          () => true,
          () => false,
        );
        memory.cutPower(kind);
        const names = await memory.list("/");
        if (done || names.includes("step-1")) await verifyFolder("/step-1", { files: memory });
      }
    },
  );

  test.each(["", ".", "..", "a/b", "a\\b", ".hidden", "manifest.json", "x".repeat(201), "ä"])(
    "refuses the entry name %j",
    async (name) => {
      const made = writeFolderDurably(join(root, "x"), new Map([[name, ""]]));
      await expect(made).rejects.toMatchObject({ code: "FILE_BAD_NAME" });
    },
  );

  const damages: [string, string, (path: string) => Promise<void>][] = [
    ["a flipped byte", "FILE_DAMAGED", (path) => writeFile(join(path, "a.bin"), new Uint8Array([1, 2, 2]))],
    ["a torn file", "FILE_DAMAGED", (path) => writeFile(join(path, "a.bin"), new Uint8Array([1, 2]))],
    ["a missing file", "FILE_DAMAGED", (path) => rm(join(path, "a.bin"))],
    ["no manifest", "FILE_DAMAGED", (path) => rm(join(path, "manifest.json"))],
    ["an empty manifest", "FILE_DAMAGED", (path) => writeFile(join(path, "manifest.json"), "")],
    ["a manifest of another kind", "FILE_DAMAGED", (path) => writeFile(join(path, "manifest.json"), "[]")],
    [
      "a manifest that points outside",
      "FILE_DAMAGED",
      (path) =>
        writeFile(
          join(path, "manifest.json"),
          JSON.stringify({
            format: "nextx-folder",
            version: 1,
            files: [{ name: "../x", sizeBytes: 0, sha256: sha256Hex("") }],
          }),
        ),
    ],
    [
      "a newer manifest",
      "FILE_NEWER_VERSION",
      (path) => writeFile(join(path, "manifest.json"), '{"version": 2}'),
    ],
    ["no folder", "FILE_NOT_FOUND", (path) => rm(path, { recursive: true })],
  ];
  test.each(damages)("with %s is refused", async (_, code, damage) => {
    const path = join(root, "step-1");
    await writeFolderDurably(path, entries);
    await damage(path);
    await expect(readFolderVerified(path)).rejects.toMatchObject({ code });
    await expect(verifyFolder(path)).rejects.toMatchObject({ code });
  });
});

test("SHA-256 of nothing and of a word", () => {
  expect(sha256Hex("")).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect(sha256Hex(new Uint8Array([97, 98, 99]))).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});
