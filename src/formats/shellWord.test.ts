import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { shellWord } from "./shellWord.ts";

test("plain names stay as they are, others come back whole from a shell", () => {
  expect(shellWord("runs/var-synth_32.safetensors")).toBe("runs/var-synth_32.safetensors");
  expect(shellWord("my model.pth")).toBe("'my model.pth'");
  for (const path of ["it's; rm -rf $HOME", "`date`", "a\nb", 'say "hi"', "~/x", "*", "", "-x é"]) {
    expect(execFileSync("sh", ["-c", `printf %s ${shellWord(path)}`], { encoding: "utf8" })).toBe(path);
  }
});
