/** Where commands may write: not over what is there, not into devices, not twice into one file. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { encodePng } from "../formats/png.ts";
import { requireApart, requirePictureReplaceable, requireReplaceable } from "./files.ts";

const root = realpathSync(mkdtempSync(join(tmpdir(), "nextx-files-")));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const at = (name: string) => join(root, name);
const coded = (code: string) => expect.objectContaining({ code });

writeFileSync(at("file"), "somebody's");
const image = { width: 1, height: 1, pixels: new Uint8Array(3) };
writeFileSync(at("picture.png"), encodePng(image, { recipe: { seed: 1 } }));

test("a file that is there is replaced when asked for, a picture of ours by a picture", () => {
  expect(() => requireReplaceable(at("new"), false)).not.toThrow();
  expect(() => requireReplaceable(at("file"), false)).toThrow(coded("FILE_EXISTS"));
  expect(() => requireReplaceable(at("file"), true)).not.toThrow();
  expect(() => requireReplaceable(at("picture.png"), false)).toThrow(coded("FILE_EXISTS"));
  expect(() => requirePictureReplaceable(at("picture.png"), false)).not.toThrow();
  expect(() => requirePictureReplaceable(at("file"), false)).toThrow(coded("FILE_EXISTS"));
});

test("what is no file is never replaced, and an empty name is none", () => {
  mkdirSync(at("folder"));
  expect(() => requireReplaceable(at("folder"), true)).toThrow(coded("FILE_EXISTS"));
  expect(() => requireReplaceable("", true)).toThrow(coded("FILE_BAD_NAME"));
  if (process.platform === "win32") return;
  execFileSync("mkfifo", [at("pipe")]);
  symlinkSync("/dev/null", at("device"));
  for (const name of ["pipe", "device"]) {
    expect(() => requireReplaceable(at(name), true)).toThrow(coded("FILE_EXISTS"));
    expect(() => requirePictureReplaceable(at(name), false)).toThrow(coded("FILE_EXISTS"));
  }
  symlinkSync(at("nowhere"), at("dangling"));
  expect(() => requireReplaceable(at("dangling"), false)).toThrow(coded("FILE_EXISTS"));
});

test("files of one command are different files, however they are called", () => {
  mkdirSync(at("a"));
  symlinkSync(at("a"), at("b"));
  symlinkSync(at("file"), at("link"));
  expect(() => requireApart(at("a/x"), { table: at("a/y"), page: undefined })).not.toThrow();
  expect(() => requireApart(at("a/x"), { table: at("b/x") })).toThrow(coded("CLI_SAME_FILE"));
  expect(() => requireApart(at("b/../b/x"), { table: at("a/x") })).toThrow(coded("CLI_SAME_FILE"));
  expect(() => requireApart(at("link"), { input: at("file") })).toThrow(coded("CLI_SAME_FILE"));
});
