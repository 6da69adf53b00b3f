/** Reference numbers of the authors' code, through the functions that train and sample. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";
import { parity } from "../src/parity.node.ts";

const golden = fileURLToPath(new URL("fixtures/golden/", import.meta.url));
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function results(folder: string, only?: string) {
  const all = [];
  for await (const result of parity(folder, only === undefined ? {} : { only })) all.push(result);
  return all;
}

/** A copy of a case with a changed case.json. */
function changedCase(change: (text: string) => string, id = "var"): string {
  const folder = mkdtempSync(join(tmpdir(), "nextx-parity-"));
  folders.push(folder);
  cpSync(join(golden, id), folder, { recursive: true });
  const path = join(folder, "case.json");
  writeFileSync(path, change(readFileSync(path, "utf8")));
  return folder;
}

it("VAR equals its authors' code in every check", async () => {
  const all = await results(join(golden, "var"));
  expect(all).toHaveLength(17);
  expect(all.filter(({ pass }) => !pass)).toEqual([]);
}, 120_000);

it("HMAR equals its authors' code in every check", async () => {
  const all = await results(join(golden, "hmar"));
  expect(all).toHaveLength(14);
  expect(all.filter(({ pass }) => !pass)).toEqual([]);
}, 300_000);

it("NAR, LlamaGen and their tokenizer equal their authors' code in every check", async () => {
  const all = await results(join(golden, "nar"));
  expect(all).toHaveLength(30);
  expect(all.filter(({ pass }) => !pass)).toEqual([]);
}, 300_000);

it("SAR and its FlexVAR base equal their authors' code in every check", async () => {
  const all = await results(join(golden, "sar"));
  expect(all).toHaveLength(16);
  expect(all.filter(({ pass }) => !pass)).toEqual([]);
}, 300_000);

it("FlowAR and its autoencoder equal their authors' code in every check", async () => {
  const all = await results(join(golden, "flowar"));
  expect(all).toHaveLength(14);
  expect(all.filter(({ pass }) => !pass)).toEqual([]);
}, 300_000);

it("xAR equals its authors' code in every check", async () => {
  const all = await results(join(golden, "xar"));
  expect(all).toHaveLength(12);
  expect(all.filter(({ pass }) => !pass)).toEqual([]);
}, 300_000);

it.each([
  ["autoformer", 14],
  ["spacetime", 13],
])(
  "%s equals its authors' code in every check",
  async (id, checks) => {
    const all = await results(join(golden, id));
    expect(all).toHaveLength(checks);
    expect(all.filter(({ pass }) => !pass)).toEqual([]);
  },
  120_000,
);

it("the table of xAR's classes has its rows, whatever the number of classes says", async () => {
  const folder = changedCase((text) => text.replace(/"class_num": \d+/, '"class_num": 10'), "xar");
  expect(readFileSync(join(folder, "case.json"), "utf8")).toContain('"class_num": 10');
  expect((await results(folder, "flow loss")).map(({ pass }) => pass)).toEqual([true]);
}, 120_000);

it.each([
  ["var", "var"],
  ["sar", "var"],
  ["hmar", "transformer"],
])(
  "drop path of a config changes nothing in evaluation mode: %s",
  async (id, section) => {
    const folder = changedCase((text) => {
      const { config, ...rest } = JSON.parse(text);
      Object.assign(config[section], { drop_path_rate: 0.1 });
      return JSON.stringify({ ...rest, config });
    }, id);
    const all = await results(folder);
    expect(all.filter(({ pass }) => !pass)).toEqual([]);
  },
  300_000,
);

type GivenCheck = Record<"args" | "outputs", Record<string, unknown>>;

/** Results of one check of a case whose copy `change` has changed. */
async function withCheck(id: string, run: string, change: (check: GivenCheck) => void) {
  const folder = changedCase((text) => {
    const { checks, ...rest } = JSON.parse(text);
    const check = checks.find((other: { run: string }) => other.run === run);
    change(check);
    return JSON.stringify({ ...rest, checks: [{ ...check, name: "changed" }] });
  }, id);
  return (await results(folder, "changed"))[0];
}

it("FlowAR's samplers have the official arguments where a case leaves them out", async () => {
  const result = await withCheck("flowar", "sample", ({ args }) => delete args.guidance);
  expect(result?.pass).toBe(true);
  const steps = await withCheck("flowar", "euler", (check) => {
    Object.assign(check, { args: {}, outputs: { times: check.outputs.times } });
  });
  expect(steps?.outputs[0]?.reason).toBe("shape [20], expected [24]");
});

it.each([
  ["euler", { args: { num_steps: "x" } }, /PARITY_BAD_CASE.*num_steps/],
  ["euler", { args: { num_steps: 2.5 } }, /PARITY_BAD_CASE.*num_steps/],
  [
    "euler",
    { inputs: { noise: "in.flow-velocity.x", z: "out.condition.z" } },
    /PARITY_BAD_CASE.*"z" must be \[2,16,16\]/,
  ],
  [
    "sample",
    { inputs: { labels: "in.sample.labels", noise: "in.flow-velocity.x" } },
    /PARITY_BAD_CASE.*"noise" must be \[any,341,16\]/,
  ],
])("a check of FlowAR that means nothing is refused: %s of %j", async (run, over, error) => {
  const result = await withCheck("flowar", run, (check) => Object.assign(check, over));
  expect(result?.error).toMatch(error);
});

it("a changed reference number fails", async () => {
  const folder = changedCase((text) => text);
  const path = join(folder, "tensors.safetensors");
  const bytes = readFileSync(path);
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString());
  const [start] = header["out.teacher-input.x_BLCv_wo_first_l"].data_offsets;
  const at = 8 + Number(bytes.readBigUInt64LE(0)) + start;
  bytes.writeFloatLE(bytes.readFloatLE(at) + 0.01, at);
  writeFileSync(path, bytes);
  const [result] = await results(folder, "teacher-forcing input");
  expect(result?.pass).toBe(false);
});

it("an unknown run fails and is named", async () => {
  const folder = changedCase((text) => text.replaceAll('"run": "teacher-input"', '"run": "teacher-imput"'));
  const [result] = await results(folder, "teacher-forcing input");
  expect(result).toMatchObject({ pass: false, error: 'PARITY_UNKNOWN_RUN: unknown run "teacher-imput"' });
});

it("a folder without a case, an unknown check and an unknown official key are refused", async () => {
  await expect(results(tmpdir())).rejects.toMatchObject({ code: "PARITY_NO_CASE" });
  await expect(results(join(golden, "var"), "nothing")).rejects.toMatchObject({
    code: "PARITY_UNKNOWN_CHECK",
  });
  const folder = changedCase((text) => text.replace('"z_channels"', '"z_chanels"'));
  await expect(results(folder)).rejects.toMatchObject({ code: "CONFIG_UNKNOWN_KEY" });
});
