/** What `inspect` says of files that are not what they should be, and of parts that systems share. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { type HostTensor, hostTensor } from "./formats/hostTensor.ts";
import { modelMetadata, modelVersion } from "./formats/modelFile.ts";
import { writeSafetensors } from "./formats/safetensors.ts";
import { fromValue } from "./formats/tensorValue.ts";
import { inspect } from "./inspect.node.ts";
import { initialise } from "./nn/scope.ts";
import { imageSystems } from "./systems/registry.ts";
import { RandomStream } from "./tensor/random.ts";

const folder = mkdtempSync(join(tmpdir(), "nextx-inspect-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const one = new Map([["w", hostTensor("F32", [1], Float32Array.of(1))]]);
function written(
  name: string,
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Record<string, string> = {},
): string {
  writeFileSync(join(folder, name), writeSafetensors(tensors, metadata));
  return join(folder, name);
}

it("says what a file is that it cannot open as a model", async () => {
  const newer = { format: "nextx-model", version: modelVersion + 1 };
  await expect(
    inspect(written("newer.safetensors", one, { nextx: JSON.stringify(newer) })),
  ).rejects.toMatchObject({
    code: "MODEL_NEWER_VERSION",
    hint: "Update nextx.",
  });
  const series = { format: "nextx-series-model", version: 1, system: "autoformer" };
  const path = written("series.safetensors", one, { nextx: JSON.stringify(series) });
  await expect(inspect(path)).rejects.toMatchObject({ code: "MODEL_OTHER_TASK", hint: `nextx eval ${path}` });
  await expect(inspect(written("head.safetensors", one, { nextx: "{" }))).rejects.toMatchObject({
    code: "MODEL_BAD_HEAD",
  });
  const bad = modelMetadata({ system: "var", config: { zz: 1 }, classNames: [], imageSize: 8 });
  await expect(inspect(written("bad.safetensors", one, bad))).rejects.toMatchObject({
    code: "CONFIG_UNKNOWN_KEY",
  });
});

it("names a system that it does not have", async () => {
  const other = modelMetadata({ system: "varr", config: {}, classNames: [], imageSize: 8 });
  await expect(inspect(written("other.safetensors", one, other))).rejects.toMatchObject({
    code: "SYSTEM_UNKNOWN",
  });
});

it("waits for no pipe, whatever it is called", async () => {
  const run = join(folder, "piped-run");
  mkdirSync(run);
  for (const path of [join(folder, "a.png"), join(folder, "a.pth"), join(run, "run.json")])
    execFileSync("mkfifo", [path]);
  for (const thing of [join(folder, "a.png"), join(folder, "a.pth"), run])
    await expect(inspect(thing)).rejects.toMatchObject({ code: "FILE_NOT_REGULAR" });
});

it("follows no loop of links", async () => {
  for (const [from, to] of [
    ["one", "two"],
    ["two", "one"],
  ] as const)
    symlinkSync(join(folder, `${from}.pth`), join(folder, `${to}.pth`));
  await expect(inspect(join(folder, "one.pth"))).rejects.toMatchObject({
    code: expect.stringMatching(/NOT_FOUND/),
  });
});

it("looks at tensors of nobody knows which model", async () => {
  expect(await inspect(written("plain.safetensors", one))).toMatchObject({
    kind: "checkpoint",
    dicts: [{ key: "", tensors: 1, others: 0 }],
    recognised: [],
  });
});

it("asks for no key where systems share one part, and names what is missing", async () => {
  const tokenizer = { zChannels: 2, ch: 4, chMult: [1, 1], numResBlocks: 1, numGroups: 2, latentSide: 2 };
  const description = { system: "xar", config: { tokenizer, transformer: {} }, classNames: [], imageSize: 4 };
  const specs = imageSystems.get("xar")?.parameters(description) ?? new Map();
  const own = new Map([...specs].filter(([name]) => name.startsWith("vae.")));
  const weights = [...initialise(own, RandomStream.from(1, "test/inspect"))];
  const kl = new Map(weights.map(([name, value]) => [name.slice("vae.".length), fromValue(value)]));
  const path = written("kl.safetensors", kl);
  const { next, recognised } = await inspect(path);
  expect((recognised as { system: string }[]).map(({ system }) => system)).toEqual(["flowar", "xar"]);
  expect(next).toBe(`nextx convert TRANSFORMER ${path} OUT.safetensors, with the transformer's file`);
  const twice = new Map(
    [...kl].flatMap(([name, tensor]) => ["a", "b"].map((key) => [`${key}.${name}`, tensor] as const)),
  );
  expect((await inspect(written("two.safetensors", twice))).next).toContain("--key KEY");
});
