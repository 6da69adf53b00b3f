/** Large modulations are read from the file for one product and let go: the same numbers, nothing kept. */
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { startGroups } from "../src/decoding/groupStart.ts";
import { ProgramStore } from "../src/decoding/programStore.ts";
import { FileValue } from "../src/formats/fileValue.node.ts";
import { hostTensor } from "../src/formats/hostTensor.ts";
import { openSafetensors, writeSafetensorsFile } from "../src/formats/safetensors.node.ts";
import { initialise } from "../src/nn/scope.ts";
import { tokenizerSchema, transformerSchema } from "../src/regimen/multiScaleConfig.ts";
import { openCpu } from "../src/runtime/device.node.ts";
import type { Device } from "../src/runtime/device.ts";
import { floats, type Value } from "../src/runtime/values.ts";
import { varSystem } from "../src/systems/var/system.ts";
import { buildVar } from "../src/systems/var/varModel.ts";
import { RandomStream } from "../src/tensor/random.ts";

const folder = realpathSync(mkdtempSync(join(tmpdir(), "nextx-start-")));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const patchNums = [1, 2];
const width = 32;
const tiny = { vocabSize: 12, zChannels: 4, ch: 4, numGroups: 2, chMult: [1, 1], numResBlocks: 1, patchNums };
const configOf = (sharedAln: boolean) => ({
  tokenizer: tokenizerSchema.parse({ ...tiny, patchSize: 2 }),
  transformer: transformerSchema.parse({
    ...{ numClasses: 3, depth: 5, embedDim: width, numHeads: 2, patchNums, sharedAln },
  }),
});

/** Loud weights of a model, in memory and in a file. */
async function weightsOf(config: ReturnType<typeof configOf>) {
  const description = { system: "var", config, classNames: ["a", "b", "c"], imageSize: 8 };
  const first = initialise(varSystem.parameters(description), RandomStream.from(1, "tiny"));
  const memory = new Map<string, Value>(
    [...first].map(([name, { data, shape }]) => [
      name,
      floats(RandomStream.from(2, name).normals(data.length, 0.5), shape),
    ]),
  );
  const path = join(folder, `${config.transformer.sharedAln}.safetensors`);
  await writeSafetensorsFile(path, {
    tensors: new Map([...memory].map(([name, { shape }]) => [name, { dtype: "F32" as const, shape }])),
    read: async (name) => {
      const { data, shape } = memory.get(name) as Value; // announced just now
      return hostTensor("F32", shape, data as Float32Array);
    },
  });
  await using file = await openSafetensors(path);
  return { memory, onDisk: new Map([...memory.keys()].map((name) => [name, new FileValue(file, name)])) };
}

/** A device that counts the sessions that are alive. */
async function counted(): Promise<{ device: Device; sessions: { made: number; alive: number } }> {
  const device = await openCpu({ threads: 1 });
  const sessions = { made: 0, alive: 0 };
  return {
    sessions,
    device: {
      ...device,
      createSession: async (model, options) => {
        const session = await device.createSession(model, options);
        sessions.made++;
        sessions.alive++;
        return {
          run: (feeds, outputs) => session.run(feeds, outputs),
          [Symbol.dispose]: () => {
            sessions.alive--;
            session[Symbol.dispose]();
          },
        };
      },
    },
  };
}

it.each([
  ["own modulations, a layer at a time", false, 1, 6],
  ["own modulations, three layers at a time", false, 0.7, 3],
  ["shared modulations", true, 100, 2],
])("%s", async (_, sharedAln, share, made) => {
  const config = configOf(sharedAln);
  const { transformer } = buildVar(config);
  const { memory, onDisk } = await weightsOf(config);
  const { device, sessions } = await counted();
  const positions = floats(RandomStream.from(3, "positions").normals(width, 1), [1, 1, width]);
  const request = { labels: Int32Array.of(2, 0), nullLabel: 3, branches: 2, positions };
  using held = new ProgramStore(memory, device);
  const expected = await startGroups(transformer, held, request);
  const again = await startGroups(transformer, held, request, { kept: 0, part: 1 });
  expect(sessions).toEqual({ made: 1, alive: 1 }); // weights in memory stay
  expect(again).toEqual(expected);
  using letGo = new ProgramStore(onDisk, device);
  const bytes = 5 * 6 * width * width * 4;
  const part = share === 1 ? 1 : share * bytes;
  const got = await startGroups(transformer, letGo, request, { kept: 0, part });
  expect(got.layers.shape).toEqual([2, 2, 5, 6, width]);
  expect(got).toEqual(expected);
  expect(sessions).toEqual({ made: 1 + made, alive: 1 });
  await startGroups(transformer, letGo, request); // what is small stays
  expect(sessions).toEqual({ made: 2 + made, alive: 2 });
});
