/** What the studio's pages do beside showing: listening, loading once, keeping values, reading events. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError, offline } from "../studio/apiError.ts";
import { SharedLoads } from "../studio/compute/sharedLoads.ts";
import { decoded } from "../studio/decoded.ts";
import { readEvents } from "../studio/eventStream.ts";
import { follow } from "../studio/follow.ts";
import { sendParts } from "../studio/parts.ts";
import { keeperOf } from "../studio/storage.ts";
import { canStart, trainedHere, trainingPlans } from "../studio/trainings.ts";
import { Turns } from "../studio/turns.ts";
import { continueProblem } from "../studio/uploadNames.ts";

describe("following", () => {
  /** Streams that were opened, each with what it gives; the last one stays open. */
  function streams(...given: (readonly string[] | Error)[]) {
    let [opened, open] = [0, 0];
    async function* stream(signal: AbortSignal): AsyncGenerator<string> {
      const events = given[opened++];
      open++;
      try {
        if (events instanceof Error) throw events;
        yield* events ?? [];
        if (opened < given.length) return;
        await new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(new DOMException("over", "AbortError")));
        });
      } finally {
        open--;
      }
    }
    return { stream, opened: () => opened, open: () => open };
  }

  it("opens one stream after the other, also after one broke, and none when it is over", async () => {
    const source = streams(["a"], new Error("broken"), ["b"]);
    const controller = new AbortController();
    const [taken, ends]: [string[], unknown[]] = [[], []];
    const done = follow(
      {
        open: source.stream,
        take: (event) => taken.push(event),
        onEnd: (error) => ends.push((error as Error | undefined)?.message),
        againAfterMs: 1,
      },
      controller.signal,
    );
    await expect.poll(() => taken).toEqual(["a", "b"]);
    expect([source.opened(), source.open()]).toEqual([3, 1]);
    controller.abort();
    await done;
    expect([source.opened(), source.open()]).toEqual([3, 0]);
    expect(ends).toEqual([undefined, "broken"]);
  });
});

describe("loads that are shared", () => {
  interface Asked {
    readonly signal: AbortSignal;
    readonly tell: (done: number, total: number) => void;
    readonly resolve: (value: string) => void;
    readonly reject: (error: Error) => void;
  }
  function loads() {
    const asked: Asked[] = [];
    const shared = new SharedLoads<string>();
    const load = (tell: Asked["tell"], signal: AbortSignal) =>
      new Promise<string>((resolve, reject) => asked.push({ signal, tell, resolve, reject }));
    const get = (controller = new AbortController(), onProgress: Asked["tell"] = () => undefined) =>
      shared.get("k", load, onProgress, controller.signal, () => new Error("left"));
    return { asked, get };
  }

  it("loads once for two, and tells both how far it is", async () => {
    const { asked, get } = loads();
    const told: number[] = [];
    const both = [get(undefined, (done) => told.push(done)), get(undefined, (done) => told.push(10 * done))];
    expect(asked).toHaveLength(1);
    asked[0]?.tell(1, 2);
    asked[0]?.resolve("model");
    expect(await Promise.all(both)).toEqual(["model", "model"]);
    expect(told).toEqual([1, 10]);
  });

  it("goes on for the other when one leaves, and stops when nobody waits", async () => {
    const { asked, get } = loads();
    const [first, second] = [new AbortController(), new AbortController()];
    const [one, other] = [get(first), get(second)];
    first.abort();
    await expect(one).rejects.toThrow("left");
    expect(asked[0]?.signal.aborted).toBe(false);
    second.abort();
    await expect(other).rejects.toThrow("left");
    expect(asked[0]?.signal.aborted).toBe(true);
    const again = get();
    expect(asked).toHaveLength(2);
    asked[1]?.resolve("again");
    expect(await again).toBe("again");
  });

  it("forgets a failure", async () => {
    const { asked, get } = loads();
    const failed = get();
    asked[0]?.reject(new Error("unreachable"));
    await expect(failed).rejects.toThrow("unreachable");
    void get();
    expect(asked).toHaveLength(2);
  });
});

it("gives each its turn, also after a failure, and none to whoever has left", async () => {
  const turns = new Turns();
  const [begun, ends]: [string[], (() => void)[]] = [[], []];
  const work = (name: string) => () => {
    begun.push(name);
    return new Promise<string>((resolve, reject) => {
      ends.push(() => (name === "bad" ? reject(new Error(name)) : resolve(name)));
    });
  };
  const leaving = new AbortController();
  const { signal } = new AbortController();
  const bad = turns.take(work("bad"), signal);
  const left = turns.take(work("left"), leaving.signal);
  const good = turns.take(work("good"), signal);
  await expect.poll(() => begun).toEqual(["bad"]);
  leaving.abort();
  ends[0]?.();
  await expect(bad).rejects.toThrow("bad");
  await expect(left).rejects.toMatchObject({ name: "AbortError" });
  await expect.poll(() => begun).toEqual(["bad", "good"]);
  ends[1]?.();
  expect(await good).toBe("good");
});

describe("events of an answer", () => {
  const text = 'event: text\ndata: {"text":"one"}\n\n';
  const answer = (end: (controller: ReadableStreamDefaultController) => void) =>
    new Response(
      new ReadableStream({
        pull(controller) {
          controller.enqueue(new TextEncoder().encode(text));
          end(controller);
        },
      }),
    );
  async function read(response: Response): Promise<unknown[]> {
    const events: unknown[] = [];
    for await (const event of readEvents(response)) events.push(event);
    return events;
  }

  it("are read to their end", async () => {
    expect(await read(answer((controller) => controller.close()))).toEqual([{ kind: "text", text: "one" }]);
  });

  it("say that the server went away where the stream breaks, and what to look at", async () => {
    const broken = read(answer((controller) => controller.error(new TypeError("network error"))));
    await expect(broken).rejects.toMatchObject({
      code: "OFFLINE",
      hint: expect.stringContaining("nextx serve"),
    });
  });

  it("end as they were left where nobody listens any more", async () => {
    const left = read(answer((controller) => controller.error(new DOMException("over", "AbortError"))));
    await expect(left).rejects.toMatchObject({ name: "AbortError" });
  });
});

describe("small values", () => {
  it("are kept where the browser allows it", () => {
    const there = new Map([["theme", "dark"]]);
    const storage = {
      getItem: (key: string) => there.get(key) ?? null,
      setItem: (key: string, value: string) => void there.set(key, value),
    };
    const keeper = keeperOf(() => storage);
    expect([keeper.get("theme"), keeper.get("place")]).toEqual(["dark", undefined]);
    keeper.set("place", "page");
    expect(there.get("place")).toBe("page");
  });

  it("last as long as the page where it allows nothing", () => {
    const keeper = keeperOf(() => {
      throw new DOMException("denied", "SecurityError");
    });
    expect(keeper.get("theme")).toBeUndefined();
    keeper.set("theme", "light");
    expect(keeper.get("theme")).toBe("light");
  });
});

describe("a file on its way", () => {
  const [kib, mib] = [2 ** 10, 2 ** 20];
  afterEach(() => vi.restoreAllMocks());

  /** A line that carries so much of a part, in so many milliseconds; `parts` are those that came. */
  function lineOf(mostBytes: number, partMs: number) {
    const parts: [start: number, bytes: number][] = [];
    const asked: number[] = [];
    let now = 0;
    vi.spyOn(performance, "now").mockImplementation(() => now);
    const line = {
      async send(start: number, end: number) {
        asked.push(end - start);
        now += partMs;
        if (end - start > mostBytes) throw offline();
        parts.push([start, end - start]);
      },
      received: async () => parts.reduce((sum, [, bytes]) => sum + bytes, 0),
      onProgress: () => undefined,
    };
    return { line, parts, asked };
  }

  it("goes in larger parts while they are quick", async () => {
    const { line, asked } = lineOf(Number.POSITIVE_INFINITY, 100);
    await sendParts(line, mib, 30 * mib);
    expect(asked.map((bytes) => bytes / mib)).toEqual([1, 2, 4, 8, 8, 6]);
  });

  it("stays with small parts on a slow line", async () => {
    const { line, asked } = lineOf(Number.POSITIVE_INFINITY, 5000);
    await sendParts(line, 0, 3 * mib);
    expect(asked.map((bytes) => bytes / mib)).toEqual([1, 1, 1]);
  });

  it("comes in parts that the line carries, one after the other", async () => {
    const { line, parts, asked } = lineOf(300 * kib, 5000);
    await sendParts(line, 0, mib);
    expect(asked.map((bytes) => bytes / kib)).toEqual([1024, 512, 256, 256, 256, 256]);
    expect(parts.map(([start]) => start / kib)).toEqual([0, 256, 512, 768]);
  });

  it("goes on after a part that came without an answer", async () => {
    const { line, parts } = lineOf(Number.POSITIVE_INFINITY, 5000);
    const { send } = line;
    line.send = async (start, end) => {
      await send(start, end);
      if (start === 0) throw offline();
    };
    await sendParts(line, 0, 2 * mib);
    expect(parts).toEqual([
      [0, mib],
      [mib, 512 * kib],
      [1.5 * mib, 512 * kib],
    ]);
  });

  it("fails where not even a small part comes, and at once where it is refused", async () => {
    const { line, asked } = lineOf(0, 100);
    await expect(sendParts(line, 0, mib)).rejects.toMatchObject({ code: "OFFLINE" });
    expect(asked.map((bytes) => bytes / kib)).toEqual([1024, 512, 256, 128, 64]);
    asked.length = 0;
    line.send = async (start, end) => {
      asked.push(end - start);
      throw new ApiError({ message: "full", code: "FILE_BAD_PART", type: "", param: null });
    };
    await expect(sendParts(line, 0, mib)).rejects.toMatchObject({ code: "FILE_BAD_PART" });
    expect(asked).toHaveLength(1);
  });
});

it("reads a part of an address, also a damaged one", () => {
  expect(["run%3Amine", "run%3", "50%off", ""].map(decoded)).toEqual(["run:mine", "run%3", "50%off", ""]);
});

it("offers a training only where the model it begins with is", () => {
  const offered = (models: readonly string[]) =>
    trainingPlans.filter((plan) => canStart(plan, models)).map(({ id }) => id);
  expect(offered(["sar-synth-32", "synth-32"])).toEqual([]);
  expect(offered(["sar-synth-32", "flexvar-synth-32"])).toEqual(["base", "refine"]);
  expect(offered(["flexvar-synth-32", trainedHere])).toEqual(["base", "refine", "refine-own"]);
});

it("continues a file with the same file only", () => {
  const partial = { name: "my-var_d16.pth", sizeBytes: 1234 };
  expect(continueProblem({ name: "my var_d16.pth", size: 1234 }, partial)).toBe("");
  expect(continueProblem({ name: "my var_d16.pth", size: 1235 }, partial)).toContain("1,234 bytes");
  expect(continueProblem({ name: "other.pth", size: 1234 }, partial)).toContain("choose that one");
});
