import { describe, expect, it } from "vitest";
import { validate } from "../../formats/validate.ts";
import { imageSystems } from "../../systems/registry.ts";
import { officialSize } from "./benchModel.ts";
import { benchSettings, officialSettings } from "./settings.ts";

const names = [...imageSystems.values()].flatMap(({ official }) =>
  (official?.presets ?? []).map(({ name }) => name),
);
const flags = { device: "cpu", threads: 2 } as const;
const withCode = (code: string) => expect.objectContaining({ code });

describe("settings of a bench", () => {
  it.each(names)("%s: those that its system takes", (name) => {
    const size = officialSize(name);
    const settings = officialSettings(size);
    expect(validate(size.system.samplingSchema, settings, "settings")).toMatchObject(settings);
  });

  it("are the side-by-side's for VAR, the authors' for SAR, and what was asked for", async () => {
    expect(await benchSettings({ ...flags, official: "d16" })).toEqual({
      cfgScale: 4,
      topK: 900,
      topP: 0.95,
    });
    const sar = await benchSettings({ ...flags, official: "sar-d20" });
    expect(sar).toEqual({ cfgScale: 2.6, topK: 900, topP: 0.95 });
    expect(await benchSettings({ ...flags, official: "xar-b" })).toEqual({});
    expect(await benchSettings({ ...flags, official: "xar-b", settings: '{"steps":3}' })).toEqual({
      steps: 3,
    });
    expect(await benchSettings({ ...flags, model: "synth-32" })).toBeUndefined();
  });

  it("are refused where the system has none of the name", async () => {
    const wrong = { ...flags, settings: '{"topK":900}' };
    await expect(benchSettings({ ...wrong, official: "xar-b" })).rejects.toThrow(
      withCode("CONFIG_UNKNOWN_KEY"),
    );
    await expect(benchSettings({ ...flags, model: "synth-32", settings: '{"steps":2}' })).rejects.toThrow(
      withCode("CONFIG_UNKNOWN_KEY"),
    );
    await expect(benchSettings({ ...flags, settings: "[1]" })).rejects.toThrow(withCode("CLI_BAD_SETTINGS"));
  });
});
