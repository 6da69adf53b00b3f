/** `inspect`, `convert` and `export --onnx` through the real binary, on files that PyTorch wrote. */
import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { readCheckpoint } from "../src/formats/readCheckpoint.node.ts";
import { writeSafetensors } from "../src/formats/safetensors.ts";

const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const work = mkdtempSync(join(tmpdir(), "nextx-checkpoints-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

function nextx(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((done) => {
    execFile(process.execPath, [path("bin/nextx.js"), ...args], { cwd: work }, (error, out, err) =>
      done({ code: typeof error?.code === "number" ? error.code : 0, out, err }),
    );
  });
}

const golden = path("test/fixtures/golden/var");
const all = await readCheckpoint(join(golden, "weights.safetensors"));
const vae = new Map(
  [...all].filter(([name]) => name.startsWith("vae.")).map(([name, t]) => [name.slice(4), t]),
);
writeFileSync(join(work, "vae.safetensors"), writeSafetensors(vae));

describe("inspect", () => {
  it("says what a published transformer is and what to do with it", async () => {
    const { code, out } = await nextx("inspect", join(golden, "weights.pth"));
    expect(code).toBe(0);
    expect(out).toContain("VAR transformer, depth 2, width 32, 5 classes, scales 1,2,3,4");
    expect(out).toMatch(/next: nextx convert \S+weights.pth TOKENIZER OUT/);
  });

  it("shows the dicts of a nested file", async () => {
    const nested = path("src/formats/testing/fixtures/nested.pth");
    const { out } = await nextx("inspect", nested, "--json");
    expect(JSON.parse(out).dicts.map(({ key }: { key: string }) => key)).toContain("trainer.var_wo_ddp");
    const one = await nextx("inspect", nested, "--key", "trainer.vae_local", "--tensors");
    expect(one.code).toBe(0);
    expect(one.out).toMatch(/\d+ tensors/);
  });
});

describe("convert", () => {
  const out = join(work, "model.safetensors");
  const inputs = [join(golden, "weights.pth"), "vae.safetensors"];

  it("fails with the fates when the configuration is not known, and writes nothing", async () => {
    const bad = await nextx("convert", "vae.safetensors", "x.safetensors");
    expect(bad.code).toBe(2);
    expect(bad.err).toContain("--set tokenizer.numGroups=");
    const settings = ["--set", "tokenizer.numGroups=2", "--set", "tokenizer.numResBlocks=3"];
    const missing = await nextx("convert", "vae.safetensors", ...settings, "x.safetensors");
    expect(missing.code).toBe(1);
    expect(missing.out).toMatch(/missing +decoder\.up\.0\.block\.3\./);
    expect(missing.err).toContain("CONVERT_INCOMPLETE");
    expect(existsSync(join(work, "x.safetensors"))).toBe(false);
    expect((await nextx("convert", "vae.safetensors")).err).toContain("CLI_CONVERT_NEEDS_OUTPUT");
  });

  it("makes a model that samples, also through a link", async () => {
    const {
      code,
      out: text,
      err,
    } = await nextx("convert", ...inputs, out, "--set", "tokenizer.numGroups=2", "--json");
    expect(err).toBe("");
    expect(code).toBe(0);
    expect(JSON.parse(text)).toMatchObject({
      system: "var",
      isModel: true,
      counts: { missing: 0, unexpected: 0 },
    });
    expect((await nextx("convert", ...inputs, out)).err).toContain("FILE_EXISTS");
    symlinkSync(out, join(work, "link.safetensors"));
    const sampled = await nextx(
      "sample",
      "link.safetensors",
      "--class",
      "4",
      "--top-k",
      "1",
      "--out",
      "a.png",
    );
    expect(sampled.err).toBe("");
    expect(existsSync(join(work, "a.png"))).toBe(true);
    expect((await nextx("inspect", "link.safetensors")).out).toContain("next: nextx sample link.safetensors");
  });

  it("never writes over a checkpoint, and tells when the file to write was forgotten", async () => {
    const before = readFileSync(join(work, "vae.safetensors"));
    writeFileSync(join(work, "own.pth"), "x");
    for (const [last, ...flags] of [
      ["vae.safetensors"],
      ["vae.safetensors", "--force"],
      ["own.pth", "--force"],
      ["new.ckpt"],
    ]) {
      const { code, err } = await nextx("convert", inputs[0] as string, last as string, ...flags);
      expect([code, err]).toEqual([2, expect.stringContaining("CLI_CONVERT_NEEDS_OUTPUT")]);
      expect(err).not.toContain("pass --force");
    }
    expect(readFileSync(join(work, "vae.safetensors")).equals(before)).toBe(true);
    expect(readFileSync(join(work, "own.pth"), "utf8")).toBe("x");
    mkdirSync(join(work, "empty"));
    const folder = await nextx("convert", ...inputs, "empty", "--force");
    expect(folder.err).toContain("empty is a folder");
    const model = await nextx("convert", ...inputs, out);
    expect(model.err).toContain("pass --force");
    expect(model.err).not.toContain("not made by nextx");
  });

  it("is exported as a folder", async () => {
    const { code, out: text } = await nextx("export", out, "--onnx", "folder");
    expect(code).toBe(0);
    expect(text).toContain("next: ");
    expect(readdirSync(join(work, "folder"))).toEqual(
      expect.arrayContaining(["manifest.json", "step-guided.onnx", "weights.safetensors"]),
    );
  });
});

it("list shows the published sizes", async () => {
  const { out } = await nextx("list");
  for (const name of ["var-d16", "var-d36", "sar-d24"]) expect(out).toContain(name);
});
