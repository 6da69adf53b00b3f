/** The `.pth` files that PyTorch wrote hold, bit for bit, what the safetensors file of the same numbers holds. */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type HostTensor, tensorBytes } from "../src/formats/hostTensor.ts";
import { readCheckpoint } from "../src/formats/readCheckpoint.node.ts";
import { openTensors } from "../src/formats/tensorFile.node.ts";

const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const golden = await readCheckpoint(path("test/fixtures/golden/var/weights.safetensors"));

/** Derivable buffers, which the safetensors file leaves out. */
const buffers = /^(lvl_1L|attn_bias_for_masking|blocks\.\d+\.attn\.zero_k_bias)$/;

function expectSame(name: string, tensor: HostTensor | undefined, reference: HostTensor | undefined): void {
  expect(tensor, name).toBeDefined();
  expect([tensor?.dtype, tensor?.shape], name).toEqual([reference?.dtype, reference?.shape]);
  const bytes = (t: HostTensor | undefined) => Buffer.from(tensorBytes(t as HostTensor)); // there are both
  expect(bytes(tensor).equals(bytes(reference)), name).toBe(true);
}

describe("reading what torch.save wrote", () => {
  it("weights.pth, whole and tensor by tensor", async () => {
    await using file = await openTensors(path("test/fixtures/golden/var/weights.pth"));
    const dict = file.dict();
    const whole = await dict.readAll();
    const wanted = [...golden.keys()].filter((name) => name.startsWith("var."));
    for (const name of wanted) {
      const own = name.slice("var.".length);
      expectSame(name, whole.get(own), golden.get(name));
      expectSame(name, await dict.read(own), golden.get(name));
    }
    const others = [...whole.keys()].filter((name) => !golden.has(`var.${name}`));
    expect(others.length).toBeGreaterThan(2);
    for (const name of others) expect(name).toMatch(buffers);
    expect(whole.get("lvl_1L")?.dtype).toBe("I64");
    const mask = whole.get("attn_bias_for_masking") as HostTensor; // one of the buffers
    expect(mask.data[1]).toBe(Number.NEGATIVE_INFINITY);
  });

  it.each([
    ["nested.pth", "trainer.var_wo_ddp", "var."],
    ["nested.pth", "trainer.vae_local", "vae."],
    ["legacy.pth", "", "var."],
  ])("%s, %s", async (file, key, prefix) => {
    const tensors = await readCheckpoint(path(`src/formats/testing/fixtures/${file}`), { key });
    const known = [...tensors.keys()].filter((name) => !buffers.test(name));
    expect(known.length).toBeGreaterThan(0);
    for (const name of known) expectSame(name, tensors.get(name), golden.get(`${prefix}${name}`));
  });
});
