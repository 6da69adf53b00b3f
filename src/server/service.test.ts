/** Stored jobs when clients are quick: the same key twice at once, cancelling what just began, more than there is room for. */
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import type { SampleSubject } from "../sampleRecipe.ts";
import { imageSystems } from "../systems/registry.ts";
import { NextxError } from "../tensor/errors.ts";
import type { Catalogue } from "./catalogue.node.ts";
import { JobStore } from "./jobStore.node.ts";
import { Metrics } from "./metrics.ts";
import { type GenerateRequest, generateSchema } from "./protocol.ts";
import { Service } from "./service.node.ts";
import { FakeCompute } from "./testing/fakeCompute.ts";

const work = mkdtempSync(join(tmpdir(), "nextx-service-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));
let store: JobStore | undefined;
afterEach(() => store?.[Symbol.asyncDispose]());

const system = imageSystems.get("var") as SampleSubject["system"];
const subject: SampleSubject = { name: "m", sha256: "0", system, classNames: ["a", "b"], sampling: {} };
const entry = { subject, name: "m", info: { sha256: "0" }, tokens: () => 10 };
const catalogue = { get: () => entry, look: async () => undefined } as unknown as Catalogue; // all that jobs ask for

const request = (seed = 1): GenerateRequest => generateSchema.parse({ model: "m", class: 0, seed });
const settle = (ms = 20) => new Promise((resolve) => setTimeout(resolve, ms));

async function setup(name: string, maxWaiting = 100, models = catalogue) {
  const compute = Object.assign(new FakeCompute(), { isLost: false });
  store = await JobStore.open(join(work, name));
  const limits = { maxWaiting, maxWaitingTokens: 1e6, maxWaitingBytes: 1e6, maxRows: 1 };
  const service = new Service({ catalogue: models, compute, store, metrics: new Metrics(), limits });
  return { service, compute, store };
}

async function until(what: () => Promise<boolean> | boolean): Promise<void> {
  for (let i = 0; !(await what()); i++) {
    if (i > 200) throw new Error(`waited for ${what}`);
    await settle(10);
  }
}

describe("stored jobs", () => {
  it("are accepted while others list them, oldest first", async () => {
    const own = (await setup("list")).store;
    let isOver = false;
    const listing = (async () => {
      while (!isOver) await own.ids();
    })();
    const ids = Array.from({ length: 30 }, (_, i) => `${i % 2 ? "key-" : ""}`.concat(idOf(i)));
    for (const id of ids) await own.create(id, request());
    isOver = true;
    await listing;
    for (const id of ids) utimesSync(join(work, "list", id, "request.json"), 1, 1); // as coarse as clocks of files get
    expect(await own.ids()).toEqual(ids);
  });

  it("of one key asked for twice at once are one job, which finishes", async () => {
    const { service, compute, store: own } = await setup("key");
    const [one, two] = await Promise.all([service.enqueue(request(), "k"), service.enqueue(request(), "k")]);
    expect(two.id).toBe(one.id);
    await until(() => compute.calls.length === 1);
    compute.calls[0]?.finish();
    await until(async () => (await own.read(one.id)).state === "finished");
    await settle();
    expect(compute.calls).toHaveLength(1);
    await expect(service.enqueue(request(2), "k")).rejects.toMatchObject({ code: "JOB_OTHER_REQUEST" });
  });

  it("that failed are queued once by two who retry at once", async () => {
    const { service, compute, store: own } = await setup("retry");
    const { id } = await service.enqueue(request());
    await until(() => compute.calls.length === 1);
    compute.calls[0]?.fail("SAMPLING_BAD_OPTION");
    await until(async () => (await own.read(id)).state === "failed");
    const answers = await Promise.allSettled([service.retry(id), service.retry(id)]);
    expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(answers[1]).toMatchObject({ reason: { code: "JOB_NOT_RETRYABLE" } });
    await until(() => compute.calls.length === 2);
    await settle();
    expect(compute.calls).toHaveLength(2);
  });

  it("cancelled as soon as they run are cancelled on disk", async () => {
    const { service, store: own } = await setup("cancel");
    for (let i = 0; i < 15; i++) {
      const { id } = await service.enqueue(request(i));
      const job = service.active(id);
      await until(() => job?.state === "running");
      if (job) await service.cancel(job);
      await settle();
      expect((await own.read(id)).state).toBe("cancelled");
    }
  });

  it("can be removed once, and unknown ones not at all", async () => {
    const { service, compute } = await setup("remove");
    const { id } = await service.enqueue(request());
    await until(() => compute.calls.length === 1);
    await service.remove(id);
    expect(await service.read(id)).toMatchObject({ state: "cancelled" });
    const answers = await Promise.allSettled([service.remove(id), service.remove(id)]);
    expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    for (const unknown of [id, `abcdef0000-${"a".repeat(12)}`, "../x"])
      await expect(service.remove(unknown)).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
  });

  it("take their place in the queue before they are written", async () => {
    const { service } = await setup("full", 4);
    const answers = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => service.enqueue(request(i))),
    );
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(4);
    expect(answers.at(-1)).toMatchObject({ reason: { code: "QUEUE_FULL" } });
  });

  it("are tried again with the model's file as it is now", async () => {
    let isKnown = true;
    const models = {
      get: () => {
        if (isKnown) return entry;
        throw new NextxError("MODEL_NOT_FOUND", "There is no model m.");
      },
      look: async () => {
        isKnown = true;
      },
    } as unknown as Catalogue; // as above
    const { service, compute, store: own } = await setup("retry-model", 100, models);
    const { id } = await service.enqueue(request());
    await until(() => compute.calls.length === 1);
    compute.calls[0]?.fail("MODEL_DAMAGED");
    await until(async () => (await own.read(id)).state === "failed");
    isKnown = false;
    expect(await service.retry(id)).toMatchObject({ state: "queued" });
    expect(isKnown).toBe(true);
    await until(() => compute.calls.length === 2);
    compute.calls[1]?.finish();
    await until(async () => (await service.read(id)).state === "finished");
  });
});

describe("a disk that is full", () => {
  const full = async () => {
    throw new NextxError("FILE_NO_SPACE", "Cannot write /some/where/jobs/x: the disk or quota is full.");
  };

  it("fails jobs whose pictures cannot be kept, says so, and lets them be tried again", async () => {
    const { service, compute, store: own } = await setup("full-disk");
    const jobs = await Promise.all([1, 2].map((seed) => service.enqueue(request(seed))));
    await until(() => compute.calls.length === 1);
    const [setState, finish] = [own.setState, own.finish];
    Object.assign(own, { setState: full, finish: full });
    compute.calls[0]?.finish();
    await until(() => compute.calls.length === 2); // the next one is not drained with it
    compute.calls[1]?.finish();
    for (const { id } of jobs) {
      await until(async () => (await service.read(id)).state === "failed");
      expect(await service.read(id)).toMatchObject({ error: { code: "FILE_NO_SPACE", param: null } });
      expect((await service.read(id)).error?.message).not.toContain("/some");
    }
    expect(await service.metrics.registry.getSingleMetricAsString("nextx_pictures_total")).toContain(" 0");
    Object.assign(own, { setState, finish });
    const [{ id } = { id: "" }] = jobs;
    expect(await service.retry(id)).toMatchObject({ state: "queued" });
    await until(() => compute.calls.length === 3);
    compute.calls[2]?.finish();
    await until(async () => (await service.read(id)).state === "finished");
  });

  it("does not keep the server from stopping, and those who wait hear why it does not answer", async () => {
    const { service, compute, store: own } = await setup("full-stop");
    await service.enqueue(request(1));
    const waiting = service.submit(request(2));
    await until(() => compute.calls.length === 1);
    Object.assign(own, { setState: full });
    await service.stop();
    expect(waiting).toMatchObject({ state: "failed", error: { code: "SERVER_STOPPING" } });
    expect(service.unready).toBe("stopping");
  });
});

describe("stored jobs on disk", () => {
  it("that are over go, the oldest first, when there are too many", async () => {
    const { store: own, service } = await setup("many");
    for (let i = 0; i < 1003; i++) {
      const folder = join(work, "many", `abcdef${String(i).padStart(4, "0")}-${"a".repeat(12)}`);
      mkdirSync(folder);
      const state = { state: i === 0 ? "queued" : "failed", crashes: 0 };
      for (const [name, value] of Object.entries({ request: request(), accepted: i, state }))
        writeFileSync(join(folder, `${name}.json`), JSON.stringify(value));
    }
    await service.recover();
    const ids = await own.ids();
    expect(ids).toHaveLength(1001);
    expect(ids.slice(0, 2).map((id) => id.slice(6, 10))).toEqual(["0000", "0003"]);
    expect((await service.list(2)).map(({ id }) => id.slice(6, 10))).toEqual(["1001", "1002"]);
    expect((await service.list(2, ids[2])).map(({ id }) => id.slice(6, 10))).toEqual(["0000", "0003"]);
  }, 60_000);

  it("whose state cannot be read are parked, not run again", async () => {
    const { service, store: own, compute } = await setup("damaged");
    const id = `abcdef0000-${"a".repeat(12)}`;
    await own.create(id, request());
    writeFileSync(join(work, "damaged", id, "state.json"), "{");
    await service.recover();
    await settle();
    expect(await service.read(id)).toMatchObject({ state: "parked", error: { code: "JOB_BAD_STATE" } });
    expect(compute.calls).toHaveLength(0);
  });

  it("are listed without the pictures to edit", async () => {
    const { service, store: own } = await setup("edits");
    const edit = { png: "AAAA", box: { y0: 0, x0: 0, y1: 1, x1: 1 }, where: "inside" as const };
    await own.create(`abcdef0000-${"a".repeat(12)}`, { ...request(), edit });
    const [listed] = await service.list(10);
    expect(listed?.request.edit).toEqual({ box: edit.box, where: "inside" });
  });
});

/** Ids as the server gives them, later ones not later in the alphabet. */
function idOf(i: number): string {
  const hex = (255 - i).toString(16).padStart(2, "0");
  return i % 2 ? hex.repeat(16) : `abcdef${hex}-${hex.repeat(6)}`;
}
