import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { fileSha256 } from "./fileHash.node.ts";

const folder = mkdtempSync(join(tmpdir(), "nextx-hash-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

it("a hash is remembered until the file changes, and a damaged memory is not believed", async () => {
  const [path, memory] = [join(folder, "f"), join(folder, "memory")];
  writeFileSync(path, "one");
  expect(await fileSha256(path, memory)).toBe(sha256("one"));
  const [entry = ""] = readdirSync(memory);
  writeFileSync(join(memory, entry), "f".repeat(64));
  expect(await fileSha256(path, memory)).toBe("f".repeat(64)); // it was not read again
  writeFileSync(path, "two");
  expect(await fileSha256(path, memory)).toBe(sha256("two"));
  utimesSync(path, 1, 1);
  expect(await fileSha256(path, memory)).toBe(sha256("two"));
  for (const name of readdirSync(memory)) writeFileSync(join(memory, name), "nonsense");
  expect(await fileSha256(path, memory)).toBe(sha256("two"));
  expect(await fileSha256(path)).toBe(sha256("two"));
  writeFileSync(join(folder, "no folder"), "");
  expect(await fileSha256(path, join(folder, "no folder", "memory"))).toBe(sha256("two"));
  await expect(fileSha256(join(folder, "none"), memory)).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
});
