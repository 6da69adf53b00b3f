import { expect, it } from "vitest";
import { openCpu } from "./runtime/device.node.ts";
import { measureSampling } from "./sampleTimes.node.ts";

it("says what one picture takes where eight have no room", async () => {
  const cpu = await openCpu({ threads: 1 });
  const small = { ...cpu, availableMemoryBytes: () => 10 * 2 ** 20 };
  const { counts } = await measureSampling("synth-32", small, 1);
  expect(counts.map(({ pictures }) => pictures)).toEqual([1]);
  const none = { ...cpu, availableMemoryBytes: () => 0 };
  await expect(measureSampling("synth-32", none, 1)).rejects.toMatchObject({ code: "RUNTIME_OUT_OF_MEMORY" });
});
