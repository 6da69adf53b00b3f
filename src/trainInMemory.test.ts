import { expect, it } from "vitest";
import { decodeModel } from "./formats/modelFile.ts";
import { findModel } from "./models.node.ts";
import { openCpu } from "./runtime/device.node.ts";
import type { Device } from "./runtime/device.ts";
import { type MemoryTraining, trainInMemory } from "./trainInMemory.ts";

/** Two scales and one layer over the shipped tokenizer. */
const tiny = {
  transformer: { depth: 1, patchNums: [1, 2], sampledSides: [1, 2] },
  schedules: { random: false },
  train: { transformer: { steps: 3, batchSize: 2, warmup: 1, tokenImages: 8 } },
};

/** A device that counts sessions which are open. */
async function counted(): Promise<{ device: Device; open(): number }> {
  const cpu = await openCpu({ threads: 1 });
  let open = 0;
  const device: Device = {
    ...cpu,
    async createSession(model, options) {
      const session = await cpu.createSession(model, options);
      open++;
      return {
        run: (feeds, outputs) => session.run(feeds, outputs),
        [Symbol.dispose]: () => {
          open--;
          session[Symbol.dispose]();
        },
      };
    },
  };
  return { device, open: () => open };
}

const request = async (device: Device, stage = "transformer"): Promise<MemoryTraining> => ({
  from: await findModel("flexvar-synth-32"),
  keeps: (name) => name.startsWith("vae."),
  stage,
  overrides: tiny,
  observeEvery: 100,
  device,
});

it("trains a stage to a model file of the changed configuration, and leaves nothing open", async () => {
  const { device, open } = await counted();
  const kinds: string[] = [];
  let file = new Uint8Array();
  for await (const event of trainInMemory(await request(device))) {
    kinds.push(event.kind);
    if (event.kind === "finished") file = Uint8Array.from(event.model);
  }
  expect(kinds).toEqual(["stage", "step", "observed", "step", "step", "observed", "finished"]);
  const { description, weights } = decodeModel(file);
  expect(description).toMatchObject({ system: "sar", config: { transformer: { depth: 1 } } });
  expect([...weights.keys()].filter((name) => name.startsWith("var.blocks.1"))).toEqual([]);
  expect(open()).toBe(0);
}, 60_000);

it("lets its programs go when nobody pulls any more", async () => {
  const { device, open } = await counted();
  for await (const { kind } of trainInMemory(await request(device))) {
    if (kind !== "step") continue;
    expect(open()).toBeGreaterThan(0);
    break;
  }
  expect(open()).toBe(0);
}, 60_000);

it("names the stages there are", async () => {
  const events = trainInMemory(await request(await openCpu({ threads: 1 }), "transformers"));
  await expect(events.next()).rejects.toMatchObject({
    code: "TRAIN_NO_STAGE",
    hint: expect.stringContaining("tokenizer, transformer"),
  });
});
