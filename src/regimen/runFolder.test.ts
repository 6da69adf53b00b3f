import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FileLayer } from "../formats/durableLayer.node.ts";
import { interceptFiles, MemoryFiles, systemError } from "../formats/testing/failingFiles.node.ts";
import { floats, ints } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";
import { RunFolder } from "./runFolder.node.ts";
import { type RunEvent, RunReader } from "./runFolderReader.node.ts";
import { type RunState, snapshotOfState, stateOfSnapshot } from "./runFolderState.ts";
import type { TrainerSnapshot } from "./trainer.ts";

let root = "";
let path = "";
let events: RunEvent[] = [];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "nextx-run-"));
  path = join(root, "run");
  events = [];
});
afterEach(() => rm(root, { recursive: true, force: true }));

const onEvent = (event: RunEvent) => {
  events.push(event);
};
const config = { system: "var", depth: 4, nested: { patchNums: [1, 2, 3] } };

function snapshot(step: number): TrainerSnapshot {
  const weights = new Map([["a.weight", floats([step, Number.NaN, -0, 0.1], [2, 2])]]);
  return {
    step,
    weights,
    average: new Map([["a.weight", floats([step + 0.5, 0, 0, 0], [2, 2])]]),
    moments: new Map([
      ["m.a.weight", floats([1e-30, 2, 3, 4], [2, 2])],
      ["count", ints([step], [])],
    ]),
    task: { cursor: step * 7, draws: { key: [1, 2], position: 3.25 }, usage: [0.1, 1e-300], none: null },
  };
}
const state = (step: number): RunState => stateOfSnapshot(snapshot(step));
const checkpoint = (step: number, ...rest: string[]) => join(path, "checkpoints", `step-${step}`, ...rest);
const latestStep = async () => (await (await RunReader.read(path, { onEvent })).latest())?.step;

/** A run with checkpoints 10 and 20, rows 1 to 20, closed. */
async function makeRun(): Promise<void> {
  await using run = await RunFolder.create(path, config);
  for (let step = 1; step <= 20; step++) {
    await run.log({ step, loss: 1 / step });
    if (step % 10 === 0) await run.save(state(step));
  }
}

describe("a run", () => {
  test("comes back as it was written", async () => {
    const provenance = { version: "0.1.0" };
    {
      await using run = await RunFolder.create(join(root, "deep", "er"), config, { provenance });
      expect(await run.latest()).toBeUndefined();
      await run.log({ step: 1, loss: 0.5, scaleLoss: [1, Number.NaN], note: "ä" });
      await run.save(state(1));
      const file = await run.saveSample(1, "grid", new Uint8Array([1]));
      expect(Array.from(await readFile(file))).toEqual([1]);
    }
    const run = await RunReader.read(join(root, "deep", "er"));
    expect(run.config).toEqual(config);
    expect(run.provenance).toEqual(provenance);
    expect(await run.metrics()).toEqual([{ step: 1, loss: 0.5, scaleLoss: [1, null], note: "ä" }]);
    const found = await run.latest();
    expect(found && snapshotOfState(found)).toEqual(snapshot(1));
    expect((await run.samples()).map(({ step, name }) => [step, name])).toEqual([[1, "grid"]]);
    expect((await readdir(run.path)).sort()).toEqual(["checkpoints", "metrics.jsonl", "run.json", "samples"]);
  });

  test("without an average has none after reading", async () => {
    await using run = await RunFolder.create(path, config);
    await run.save(stateOfSnapshot({ ...snapshot(1), average: undefined }));
    const found = await run.latest();
    expect(found && snapshotOfState(found).average).toBeUndefined();
  });

  test("keeps the newest two checkpoints and every milestone", async () => {
    await using run = await RunFolder.create(path, config, { milestoneEvery: 20 });
    for (let step = 5; step <= 50; step += 5) await run.save(state(step));
    expect(await run.checkpoints()).toEqual([20, 40, 45, 50]);
    expect((await run.latest())?.step).toBe(50);
  });

  test("resumes without a gap or a doubled row", async () => {
    await makeRun();
    {
      await using run = await RunFolder.open(path);
      await run.log({ step: 21, loss: 0 });
      await run.log({ step: 25, loss: 0 });
      await run.saveSample(22, "grid", new Uint8Array(1));
    }
    await using run = await RunFolder.open(path);
    await expect(run.log({ step: 21 })).rejects.toMatchObject({ code: "RUN_BAD_STEP" });
    const step = (await run.latest())?.step ?? 0;
    await run.rewind(step);
    await run.log({ step: 21, loss: 1 });
    expect((await run.metrics()).map((row) => row.step)).toEqual(Array.from({ length: 21 }, (_, i) => i + 1));
    expect(await run.samples()).toEqual([]);
  });

  test("goes back to an older checkpoint only by rewinding", async () => {
    await makeRun();
    await using run = await RunFolder.open(path);
    await expect(run.save(state(15))).rejects.toMatchObject({ code: "RUN_BAD_STEP" });
    await run.rewind(10);
    expect((await run.latest())?.step).toBe(10);
    expect(await run.checkpoints()).toEqual([10]);
    await run.save(state(15));
    await run.save(state(15)); // a second time: kept as it is
    expect((await run.latest())?.step).toBe(15);
    await expect(run.rewind(12)).rejects.toMatchObject({ code: "RUN_BAD_STEP" });
    await run.rewind(0);
    expect(await run.latest()).toBeUndefined();
    expect(await run.metrics()).toEqual([]);
  });

  test("is not begun over something else", async () => {
    await mkdir(path);
    await writeFile(join(path, "holiday.jpg"), "");
    await expect(RunFolder.create(path, config)).rejects.toMatchObject({ code: "RUN_NOT_EMPTY" });
    await expect(RunFolder.open(path)).rejects.toMatchObject({ code: "RUN_NOT_FOUND" });
    await expect(RunFolder.open(join(root, "none"))).rejects.toMatchObject({ code: "RUN_NOT_FOUND" });
    expect(await readdir(path)).toEqual(["holiday.jpg"]);
    await rm(join(path, "holiday.jpg"));
    await makeRun();
    await expect(RunFolder.create(path, config)).rejects.toMatchObject({ code: "RUN_EXISTS" });
    await expect(RunFolder.create(join(path, "run.json"), config)).rejects.toBeInstanceOf(NextxError);
  });

  test("refuses numbers that JSON cannot hold, bad names and calls after close", async () => {
    const run = await RunFolder.create(path, config);
    const bad = { ...state(1), json: { usage: [1, Number.NaN] } };
    await expect(run.save(bad)).rejects.toMatchObject({ code: "RUN_BAD_STATE", path: "state.usage.1" });
    await expect(run.save({ ...state(1), tensors: { "../x": new Map() } })).rejects.toMatchObject({
      code: "RUN_BAD_STATE",
    });
    await expect(run.saveSample(1, "../x", new Uint8Array(1))).rejects.toMatchObject({
      code: "FILE_BAD_NAME",
    });
    await expect(run.log({ step: 1.5 })).rejects.toMatchObject({ code: "RUN_BAD_STEP" });
    await run.close();
    await run.close();
    await expect(run.log({ step: 1 })).rejects.toMatchObject({ code: "RUN_CLOSED" });
    await expect(run.save(state(1))).rejects.toMatchObject({ code: "RUN_CLOSED" });
  });

  test("tells when its config was edited", async () => {
    await makeRun();
    const file = join(path, "run.json");
    await writeFile(file, (await readFile(file, "utf8")).replace('"depth": 4', '"depth": 5'));
    expect(await latestStep()).toBe(20);
    expect(events).toEqual([{ kind: "config-changed", step: 20 }]);
  });
});

describe("damage", () => {
  const flip = async (file: string) => {
    const bytes = await readFile(file);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(file, bytes);
  };
  const latest = () => join(path, "checkpoints", "LATEST");
  const harmless: [string, () => Promise<unknown>][] = [
    ["no LATEST", () => rm(latest())],
    ["a torn LATEST", () => writeFile(latest(), "step-")],
    ["an empty LATEST", () => writeFile(latest(), "")],
    ["rubbish in LATEST", () => writeFile(latest(), "../../step-20\n")],
    ["a leftover of an interrupted write", () => mkdir(`${checkpoint(30)}.tmp-1-0123456789ab`)],
    ["a foreign folder", () => mkdir(join(path, "checkpoints", "step-30-copy"))],
  ];
  test.each(harmless)("%s does no harm", async (_, damage) => {
    await makeRun();
    await damage();
    expect(await latestStep()).toBe(20);
    expect(events).toEqual([]);
  });

  const critical: [string, () => Promise<unknown>][] = [
    ["LATEST names a checkpoint that is gone", () => rm(checkpoint(20), { recursive: true })],
    ["a missing file", () => rm(checkpoint(20, "moments.safetensors"))],
    ["a flipped byte in the weights", () => flip(checkpoint(20, "weights.safetensors"))],
    ["a flipped byte in the state", () => flip(checkpoint(20, "state.json"))],
    ["a cut file", () => writeFile(checkpoint(20, "average.safetensors"), "")],
    ["no manifest", () => rm(checkpoint(20, "manifest.json"))],
    ["an empty folder", () => rm(checkpoint(20), { recursive: true }).then(() => mkdir(checkpoint(20)))],
    [
      "another step's content",
      async () => {
        await rm(checkpoint(20), { recursive: true });
        await rename(checkpoint(10), checkpoint(20));
        await makeCopyOf10();
      },
    ],
  ];
  async function makeCopyOf10(): Promise<void> {
    const other = join(root, "other");
    await using run = await RunFolder.create(other, config);
    await run.save(state(10));
    await rename(join(other, "checkpoints", "step-10"), checkpoint(10));
  }
  test.each(critical)("%s: the run steps back and says so", async (_, damage) => {
    await makeRun();
    await damage();
    expect(await latestStep()).toBe(10);
    expect(events).toMatchObject([{ kind: "checkpoint-skipped", name: "step-20" }]);
    await using run = await RunFolder.open(path);
    await run.rewind(10);
    await run.save(state(20));
    expect((await run.latest())?.step).toBe(20);
  });

  test("nothing whole is an error, not a new beginning", async () => {
    await makeRun();
    await flip(checkpoint(10, "weights.safetensors"));
    await flip(checkpoint(20, "weights.safetensors"));
    await expect(latestStep()).rejects.toMatchObject({ code: "RUN_ALL_DAMAGED" });
  });

  test("newer formats are refused by name, not stepped over", async () => {
    await makeRun();
    const { writeFolderDurably } = await import("../formats/durable.node.ts");
    await rm(checkpoint(20), { recursive: true });
    await writeFolderDurably(checkpoint(20), new Map([["state.json", '{"version": 2}']]));
    await expect(latestStep()).rejects.toMatchObject({ code: "RUN_NEWER_VERSION" });
    await writeFile(checkpoint(20, "manifest.json"), '{"version": 9}');
    await expect(latestStep()).rejects.toMatchObject({ code: "FILE_NEWER_VERSION" });
    await writeFile(join(path, "run.json"), '{"version": 2}');
    await expect(RunFolder.open(path)).rejects.toMatchObject({ code: "RUN_NEWER_VERSION" });
  });

  test.each(["", "{", "[]", '{"format":"nextx-run","version":1}', `${"[".repeat(1e5)}${"]".repeat(1e5)}`])(
    "run.json is rubbish (%#)",
    async (content) => {
      await makeRun();
      await writeFile(join(path, "run.json"), content);
      await expect(RunFolder.open(path)).rejects.toMatchObject({ code: "RUN_BAD_FILE" });
    },
  );

  test("a torn log is read, and mended when the run goes on", async () => {
    await makeRun();
    await appendFile(join(path, "metrics.jsonl"), 'rubbish\n\0\0\0\n{"step":21,"lo');
    expect((await (await RunReader.read(path)).metrics()).length).toBe(20);
    await using run = await RunFolder.open(path, { onEvent });
    expect(events).toEqual([{ kind: "metrics-repaired", badLines: 3 }]);
    await run.log({ step: 21 });
    expect((await run.metrics()).map(({ step }) => step)).toEqual(
      Array.from({ length: 21 }, (_, i) => i + 1),
    );
  });

  test("leftovers of interrupted writes are cleared when the run goes on", async () => {
    await makeRun();
    await mkdir(`${checkpoint(30)}.tmp-1-0123456789ab`);
    await writeFile(join(path, "run.json.tmp-77-0123456789ab"), "");
    await (await RunFolder.open(path)).close();
    expect((await readdir(path)).sort()).toEqual(["checkpoints", "metrics.jsonl", "run.json"]);
    expect((await readdir(join(path, "checkpoints"))).sort()).toEqual(["LATEST", "step-10", "step-20"]);
  });
});

describe("the lock", () => {
  const lock = () => join(path, "lock.json");
  async function deadProcess(): Promise<number> {
    const child = spawn(process.execPath, ["-e", ""]);
    await once(child, "exit");
    return child.pid ?? 0;
  }
  const since = "2026-01-01T00:00:00.000Z";

  test("keeps a second writer out and names the first; readers may look", async () => {
    await using run = await RunFolder.create(path, config);
    const start = performance.now();
    await expect(RunFolder.open(path)).rejects.toMatchObject({
      code: "RUN_LOCKED",
      message: expect.stringContaining(`process ${process.pid}`),
    });
    expect(performance.now() - start).toBeLessThan(1000);
    expect((await RunReader.read(path)).config).toEqual(run.config);
  });

  test("of a dead process, or of an old process with the same id, is taken over", async () => {
    await makeRun();
    const holders = [
      { pid: await deadProcess(), processStart: null, host: hostname(), since },
      ...(process.platform === "linux"
        ? [{ pid: process.pid, processStart: "1", host: hostname(), since }]
        : []),
    ];
    for (const holder of holders) {
      events = [];
      await writeFile(lock(), JSON.stringify(holder));
      await (await RunFolder.open(path, { onEvent })).close();
      expect(events).toEqual([{ kind: "lock-taken-over", holder }]);
      expect(await readdir(path)).not.toContain("lock.json");
    }
  });

  test("of another machine is respected", async () => {
    await makeRun();
    await writeFile(lock(), JSON.stringify({ pid: 1, processStart: null, host: `not-${hostname()}`, since }));
    await expect(RunFolder.open(path)).rejects.toMatchObject({ code: "RUN_LOCKED" });
  });

  test("that is a link to nothing is told, within a second", async () => {
    await makeRun();
    await symlink(join(path, "nowhere"), lock());
    await expect(RunFolder.open(path)).rejects.toMatchObject({ code: "RUN_LOCKED" });
  });

  test("that was torn while being written is taken over after a moment", async () => {
    await makeRun();
    await writeFile(lock(), '{"pid":');
    await (await RunFolder.open(path, { onEvent })).close();
    expect(events).toEqual([{ kind: "lock-taken-over", holder: "unreadable" }]);
  });

  test("goes to one of many who come at once", async () => {
    await makeRun();
    const dead = JSON.stringify({ pid: await deadProcess(), processStart: null, host: hostname(), since });
    for (let round = 0; round < 12; round++) {
      await writeFile(lock(), dead);
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => RunFolder.open(path)));
      const opened = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      expect(opened.length).toBe(1);
      await opened[0]?.close();
    }
  });

  test("goes to a newcomer although one that took over died in the middle", async () => {
    await makeRun();
    const dead = { pid: await deadProcess(), processStart: null, host: hostname(), since };
    await writeFile(lock(), JSON.stringify(dead));
    for (const left of [JSON.stringify(dead), ""]) {
      await writeFile(`${lock()}.takeover`, left);
      await using run = await RunFolder.open(path);
      expect(run).toBeInstanceOf(RunFolder);
      await run.close();
      await writeFile(lock(), JSON.stringify(dead));
    }
  });
});

describe("failures of the file system", () => {
  /** From checkpoint 10 and its rows to checkpoint 20 and its rows, through the given files. */
  async function goOn(folder: string, files: FileLayer): Promise<void> {
    const run = await RunFolder.open(folder, { files });
    try {
      const step = (await run.latest())?.step ?? 0;
      await run.rewind(step);
      await run.log({ step: step + 1 });
      await run.log({ step: step + 10 });
      await run.saveSample(step + 10, "grid", new Uint8Array([1]));
      await run.save(state(step + 10));
    } finally {
      await run.close();
    }
  }

  async function begin(folder: string, files: FileLayer): Promise<void> {
    await using run = await RunFolder.create(folder, config, { files, keep: 1 });
    await run.log({ step: 1 });
    await run.log({ step: 10 });
    await run.save(state(10));
  }

  async function requireWhole(folder: string, files: FileLayer): Promise<void> {
    const run = await RunReader.read(folder, { files });
    const step = (await run.latest())?.step ?? 0;
    expect([10, 20]).toContain(step);
    const steps = (await run.metrics()).map((row) => row.step).filter((other) => other <= step);
    expect(steps).toEqual(step === 10 ? [1, 10] : [1, 10, 11, 20]);
  }

  test("a call that fails leaves a run that can go on", async () => {
    let n = 0;
    for (let failed = true; failed; ) {
      n++;
      const memory = new MemoryFiles();
      await begin("/run", memory);
      failed = false;
      const files = interceptFiles(memory, (call) => {
        if (call !== n) return undefined;
        failed = true;
        return systemError("ENOSPC");
      });
      const error = await goOn("/run", files).catch((thrown: unknown) => thrown);
      if (error !== undefined) expect(error).toMatchObject({ code: "FILE_NO_SPACE" });
      await requireWhole("/run", memory);
      await memory.remove("/run/lock.json"); // this process lives on and may not have been able to remove it
      await goOn("/run", memory);
    }
    expect(n).toBeGreaterThan(50);
  });

  test.each(["all-lost", "names-kept"] as const)(
    "a power cut at any call leaves a run that can go on (%s)",
    async (kind) => {
      for (let n = 1, done = false; !done; n++) {
        const memory = new MemoryFiles();
        await begin("/run", memory);
        const cut = interceptFiles(memory, (call) => (call >= n ? systemError("EIO") : undefined));
        done = await goOn("/run", cut).then(
          () => true,
          () => false,
        );
        memory.cutPower(kind);
        await requireWhole("/run", memory);
        await memory.remove("/run/lock.json");
        await goOn("/run", memory);
      }
    },
  );

  test("a run whose creation was cut off can be created again", async () => {
    for (let n = 1, done = false; !done; n++) {
      const memory = new MemoryFiles();
      const cut = interceptFiles(memory, (call) => (call >= n ? systemError("EIO") : undefined));
      done = await RunFolder.create("/a/run", config, { files: cut }).then(
        () => true,
        () => false,
      );
      memory.cutPower("names-kept");
      const names = await memory.list("/a/run").catch((): string[] => []);
      if (names.includes("lock.json")) await memory.remove("/a/run/lock.json");
      if (names.includes("run.json")) await RunFolder.open("/a/run", { files: memory });
      else await begin("/a/run", memory);
    }
  });
});
