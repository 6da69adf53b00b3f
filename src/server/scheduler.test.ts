/** The queue before a device, with a device that does what the test says. */
import { describe, expect, it } from "vitest";
import { NextxError } from "../tensor/errors.ts";
import { Job } from "./job.ts";
import type { ServerEvent } from "./protocol.ts";
import { Scheduler } from "./scheduler.ts";
import { FakeCompute } from "./testing/fakeCompute.ts";

const limits = { maxWaiting: 3, maxWaitingTokens: 1000, maxWaitingBytes: 100, maxRows: 4 };
const hooks = {
  onStart: () => undefined,
  onEnd: () => undefined,
  onStep: () => undefined,
  onCrash: () => undefined,
};
const settle = () => new Promise((resolve) => setTimeout(resolve, 5));

function job(id: string, { key = "k", rows = 1, seed = 0, cost = 10, bytes = 0, crashes = 0 } = {}): Job {
  const labels = Array<number>(rows).fill(0);
  return new Job(
    id,
    {
      recipe: {},
      batch: { model: "m", sha256: "", settings: {}, edit: undefined },
      part: { labels, seed, first: 0, columns: undefined, previews: true },
      key,
      cost,
      bytes,
    },
    crashes,
  );
}

async function events(of: Job): Promise<ServerEvent[]> {
  const all: ServerEvent[] = [];
  for await (const event of of.events(AbortSignal.timeout(2000))) all.push(event);
  return all;
}

function setup() {
  const compute = new FakeCompute();
  return { compute, scheduler: new Scheduler(compute, limits, hooks) };
}

describe("the scheduler", () => {
  it("starts waiting requests of one key together, up to the rows of a batch, and leaves the others", async () => {
    const { compute, scheduler } = setup();
    const first = job("first");
    scheduler.add(first);
    await settle();
    const [a, other, b, large] = [
      job("a", { seed: 1 }),
      job("other", { key: "o" }),
      job("b", { seed: 2 }),
      job("large", { rows: 3 }),
    ] as const;
    for (const one of [a, other, b, large]) scheduler.add(one);
    compute.calls[0]?.finish();
    await settle();
    expect(compute.calls[1]?.batch.parts.map(({ seed }) => seed)).toEqual([1, 2]);
    compute.calls[1]?.finish();
    expect((await events(b)).at(-1)).toMatchObject({ kind: "finished", grid: "Ag==" });
    await settle();
    expect(compute.calls[2]?.batch.parts).toHaveLength(1);
    expect(other.state).toBe("running");
    expect(large.state).toBe("queued");
  });

  it("refuses beyond its bounds in requests and in tokens", async () => {
    const { scheduler } = setup();
    scheduler.add(job("runs"));
    await settle();
    scheduler.add(job("a", { cost: 900 }));
    expect(() => scheduler.requireRoom(200)).toThrowError(expect.objectContaining({ code: "QUEUE_FULL" }));
    scheduler.requireRoom(100);
    scheduler.add(job("b"));
    scheduler.add(job("c"));
    expect(() => scheduler.requireRoom(1)).toThrowError(expect.objectContaining({ code: "QUEUE_FULL" }));
    expect(scheduler.retryAfterSeconds).toBeGreaterThanOrEqual(1);
  });

  it("is full when its tokens or bytes are, as a count of requests would say", async () => {
    const { scheduler } = setup();
    scheduler.add(job("runs"));
    await settle();
    const [long, large] = [job("long", { cost: 1000 }), job("large", { bytes: 100 })];
    for (const one of [long, large]) {
      expect(scheduler.isFull).toBe(false);
      scheduler.add(one);
      expect(scheduler.isFull).toBe(true);
      await scheduler.cancel(one);
    }
  });

  it("tries requests of a batch that failed in the runtime once more, each alone", async () => {
    const { compute, scheduler } = setup();
    scheduler.add(job("runs"));
    await settle();
    const [large, small] = [job("large", { seed: 1 }), job("small", { seed: 2 })];
    for (const one of [large, small]) scheduler.add(one);
    compute.calls[0]?.finish();
    await settle();
    compute.calls[1]?.fail("RUNTIME_OUT_OF_MEMORY");
    await settle();
    expect(compute.calls[2]?.batch.parts.map(({ seed }) => seed)).toEqual([1]);
    compute.calls[2]?.fail("RUNTIME_OUT_OF_MEMORY");
    await settle();
    compute.calls[3]?.finish();
    await settle();
    expect(large).toMatchObject({ state: "failed", crashes: 0 });
    expect(small).toMatchObject({ state: "finished", crashes: 0 });
    expect(compute.calls).toHaveLength(4);
  });

  it("a request that cannot begin fails alone", async () => {
    const compute = new FakeCompute();
    const onStart = ({ id }: Job) => {
      if (id === "bad") throw new NextxError("FILE_NO_SPACE", "as the test says");
    };
    const scheduler = new Scheduler(compute, limits, { ...hooks, onStart });
    const [bad, good] = [job("bad"), job("good")];
    for (const one of [bad, good]) scheduler.add(one);
    await settle();
    compute.calls[0]?.finish();
    await settle();
    expect(bad.error).toMatchObject({ code: "FILE_NO_SPACE" });
    expect(good.state).toBe("finished");
  });

  it("begins no further job of a batch when it stops", async () => {
    const compute = new FakeCompute();
    const begun: string[] = [];
    const onStart = async ({ id }: Job) => {
      begun.push(id);
      await settle();
    };
    const scheduler = new Scheduler(compute, limits, { ...hooks, onStart });
    const [first, second] = [job("first"), job("second")];
    for (const one of [first, second]) scheduler.add(one);
    await expect.poll(() => begun, { interval: 1 }).toEqual(["first"]);
    expect(scheduler.stop()).toEqual([first, second]);
    await settle();
    await settle();
    expect(begun).toEqual(["first"]);
    expect(second.state).toBe("queued");
    expect(compute.calls).toHaveLength(0);
  });

  it("stops the work when everyone who wanted it is gone, not before", async () => {
    const { compute, scheduler } = setup();
    scheduler.add(job("runs"));
    await settle();
    const [a, b] = [job("a"), job("b")];
    scheduler.add(a);
    scheduler.add(b);
    compute.calls[0]?.finish();
    await settle();
    await scheduler.cancel(a);
    expect(compute.calls[1]?.signal.aborted).toBe(false);
    await scheduler.cancel(b);
    expect(compute.calls[1]?.signal.aborted).toBe(true);
    expect((await events(a)).at(-1)).toEqual({ kind: "cancelled" });
    await settle();
    expect(scheduler.running + scheduler.waiting).toBe(0);
  });

  it("tries crashed jobs once more, each alone, and parks the one that crashes again", async () => {
    const { compute, scheduler } = setup();
    scheduler.add(job("runs"));
    await settle();
    const [poison, innocent] = [job("poison", { seed: 1 }), job("innocent", { seed: 2 })];
    scheduler.add(poison);
    scheduler.add(innocent);
    compute.calls[0]?.finish();
    await settle();
    compute.calls[1]?.fail("COMPUTE_CRASHED");
    await settle();
    expect(compute.calls[2]?.batch.parts.map(({ seed }) => seed)).toEqual([1]);
    compute.calls[2]?.fail("COMPUTE_CRASHED");
    await settle();
    compute.calls[3]?.finish();
    await settle();
    expect(poison).toMatchObject({ state: "parked", crashes: 2 });
    expect((await events(poison)).at(-1)).toMatchObject({ error: { code: "COMPUTE_CRASHED" } });
    expect(innocent).toMatchObject({ state: "finished", crashes: 1 });
  });

  it("tells the client when a result cannot be kept, and goes on", async () => {
    const compute = new FakeCompute();
    const onEnd = (one: Job) => {
      if (one.id === "unlucky") throw new NextxError("FILE_NO_SPACE", "as the test says");
    };
    const scheduler = new Scheduler(compute, limits, { ...hooks, onEnd });
    const [unlucky, next] = [job("unlucky"), job("next", { key: "o" })];
    scheduler.add(unlucky);
    scheduler.add(next);
    await settle();
    compute.calls[0]?.finish();
    expect((await events(unlucky)).at(-1)).toMatchObject({
      kind: "failed",
      error: { code: "FILE_NO_SPACE" },
    });
    await settle();
    compute.calls[1]?.finish();
    expect((await events(next)).at(-1)?.kind).toBe("finished");
  });

  it("fails a job with its own error at once", async () => {
    const { compute, scheduler } = setup();
    const one = job("one");
    scheduler.add(one);
    await settle();
    compute.calls[0]?.fail("RUNTIME_OUT_OF_MEMORY");
    await settle();
    expect(one.state).toBe("failed");
    expect(compute.calls).toHaveLength(1);
  });
});
