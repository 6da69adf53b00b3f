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

type Keys = Record<string, unknown>;
type GivenCheck = Record<"args" | "inputs" | "outputs", Keys>;

/** Result of one check of a case; `change` changes it and the configuration. */
async function withCheck(id: string, run: string, change: (check: GivenCheck, config: Keys) => void) {
  const folder = changedCase((text) => {
    const { checks, config, ...rest } = JSON.parse(text);
    const check = checks.find((other: { run: string }) => other.run === run);
    change(check, config);
    return JSON.stringify({ ...rest, config, checks: [{ ...check, name: "changed" }] });
  }, id);
  return (await results(folder, "changed"))[0];
}

/** Takes keys out of a configuration or one of its sections. */
const without = (config: Keys, keys: readonly string[]) => {
  for (const key of keys) delete config[key];
};

it("FlowAR's samplers have the official arguments where a case leaves them out", async () => {
  const result = await withCheck("flowar", "sample", ({ args }) => without(args, ["guidance"]));
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

it.each([
  ["leaves out what the constructor has", (config: Keys) => without(config, Object.keys(config).slice(0, 3))],
  ["has pixels left over", (config: Keys) => Object.assign(config, { img_size: 263 })],
  [
    "has patches of latents",
    (config: Keys) => Object.assign(config, { patch_size: 2, img_size: 512, vae_embed_dim: 4 }),
  ],
])("xAR's model is the official one where a case %s", async (_, change) => {
  const result = await withCheck("xar", "loss", (__, config) => change(config));
  expect(result?.pass).toBe(true);
});

it("xAR's Euler sampler reads no noise of steps, and guides nothing where nothing is said", async () => {
  const result = await withCheck("xar", "sample", ({ args, inputs }) => {
    without(args, ["cfg", "time_ids"]);
    Object.assign(args, { sampler: "euler" });
    without(inputs, ["step_noise"]);
  });
  expect(result?.error).toBeUndefined();
});

it.each([
  ["denoise-step", { args: { cell: 9 } }, /PARITY_BAD_CASE.*Cells are 0 to 3/],
  ["denoise-step", { args: {} }, /PARITY_BAD_CASE.*cell/],
  ["sample", { args: { cfg: 2 } }, /PARITY_BAD_CASE.*num_steps/],
])("a check of xAR that means nothing is refused: %s of %j", async (run, over, error) => {
  const result = await withCheck("xar", run, (check) => Object.assign(check, over));
  expect(result?.error).toMatch(error);
});

it("xAR's noise has the shape of its cells, and labels are classes", async () => {
  const noise = await withCheck("xar", "sample", ({ inputs }) => {
    inputs.initial_noise = inputs.step_noise;
  });
  expect(noise?.error).toMatch(/PARITY_BAD_CASE.*"initial_noise" must be/);
  const labels = await withCheck("xar", "loss", (check) => {
    check.inputs.labels = check.inputs.times;
  });
  expect(labels?.error).toMatch(/PARITY_BAD_CASE.*labels/);
});

it("what a case leaves out of a model is what its constructor says", async () => {
  const shared = await withCheck("var", "logits-shared-aln", (_, config) => {
    config.var_shared = { ...(config.var as Keys), shared_aln: true, depth: 1 };
    without(config.var_shared as Keys, ["attn_l2_norm", "mlp_ratio", "norm_eps"]);
  });
  expect(shared?.pass).toBe(true);
  const tail = await withCheck("hmar", "mask-logits", (_, config) => without(config, ["n_layers_train"]));
  expect(tail?.pass).toBe(true);
  const code = await withCheck("sar", "encode", (_, config) =>
    without(config.vq as Keys, ["codebook_embed_dim"]),
  );
  expect(code?.error).toMatch(/needs \[8, 12, 1, 1\]/);
  const lattice = await withCheck("nar", "logits", (_, config) =>
    without(config.nar as Keys, ["vocab_size"]),
  );
  expect(lattice?.error).toMatch(/needs \[16384, 32\]/);
});

it("LlamaGen's tokenizer takes its official keys", async () => {
  const result = await withCheck("nar", "tokenize", (_, config) => {
    const { ch_mult: chMult, ...vq } = config.vq as Keys;
    config.vq = { ...vq, encoder_ch_mult: chMult, decoder_ch_mult: chMult, codebook_show_usage: true };
  });
  expect(result?.pass).toBe(true);
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
