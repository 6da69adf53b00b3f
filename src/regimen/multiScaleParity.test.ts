import { expect, it } from "vitest";
import { caseTokenizer, caseTransformer } from "./multiScaleParity.ts";

it("what a case leaves out is what the official constructors say", () => {
  const config = { vae: {}, var: {}, shared: { as: "var", shared_aln: true, drop_path_rate: 0.1 } };
  expect(caseTokenizer(config)).toMatchObject({ ch: 128, zChannels: 32, vocabSize: 4096, quantResi: 0.5 });
  expect(caseTransformer(config, "var")).toMatchObject({ attnL2Norm: false, sharedAln: false, depth: 16 });
  expect(caseTransformer(config, "shared")).toMatchObject({ sharedAln: true, dropPathRate: 0 });
});

it("the sign of phi's share says nothing, and its convolutions have odd kernels", () => {
  const tokenizer = (vae: object) => caseTokenizer({ vae });
  expect(tokenizer({ quant_resi: -0.4 }).quantResi).toBe(0.4);
  expect(tokenizer({ quant_conv_ks: 1 }).quantConvKernel).toBe(1);
  expect(tokenizer({}).quantConvKernel).toBeUndefined();
  for (const vae of [{ quant_conv_ks: 2 }, { quant_resi: "x" }])
    expect(() => tokenizer(vae)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^CONFIG_/) }),
    );
});
