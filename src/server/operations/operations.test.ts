/** Long work with processes that do what the test says: order, crashes, stopping, and what a new server takes up. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NextxError } from "../../tensor/errors.ts";
import type { OperationEvent, OperationRequest } from "../runProtocol.ts";
import type { Work, WorkEvent } from "./messages.ts";
import type { Operation } from "./operation.ts";
import { OperationStore } from "./operationStore.node.ts";
import { Operations } from "./operations.node.ts";
import type { Operators } from "./operatorProcess.node.ts";
import type { WorkEnd } from "./working.ts";

interface Call {
  readonly run: string;
  isStopAsked: boolean;
  tell(event: WorkEvent): void;
  end(outcome: WorkEnd["outcome"]): void;
  fail(code: string): void;
}

class FakeOperators implements Operators {
  readonly calls: Call[] = [];
  /** Whether work goes on when it is told to stop. */
  isStubborn = false;

  work(work: Work, onEvent: (event: WorkEvent) => void): ReturnType<Operators["work"]> {
    let call: Call | undefined;
    const ended = new Promise<WorkEnd>((resolve, reject) => {
      call = {
        run: work.kind === "train" ? work.folder : work.kind,
        isStopAsked: false,
        tell: onEvent,
        end: (outcome) => resolve({ outcome }),
        fail: (code) => reject(new NextxError(code, "as the test says, in /secret/place")),
      };
      this.calls.push(call);
    });
    const stop = () => {
      if (call) call.isStopAsked = true;
      if (!this.isStubborn) call?.end("stopped");
    };
    return { ended, stop, kill: () => undefined };
  }

  ask(): Promise<unknown> {
    return Promise.resolve(undefined);
  }
}

let folder = "";
let store: OperationStore;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "nextx-operations-"));
  store = await OperationStore.open(folder);
});
const made: Operations[] = [];
afterEach(async () => {
  for (const operations of made.splice(0)) await operations.shutDown();
  await store[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const resolve = async (request: OperationRequest): Promise<Work> => {
  if (request.kind === "train") {
    if (request.run === "gone") throw new NextxError("MODEL_NOT_FOUND", "as the test says");
    const { run, system, checkpointEvery, observeEvery } = request;
    return { kind: "train", system, folder: run, begin: undefined, checkpointEvery, observeEvery };
  }
  if (request.kind === "export")
    return { kind: "export", model: request.model, out: "o", schedule: undefined };
  throw new Error("not asked for");
};
const hide = (text: string): string => text.replaceAll("/secret/place", "runs");

function setup() {
  const operators = new FakeOperators();
  const operations = new Operations({ store, operators, resolve, hide });
  made.push(operations);
  return { operators, operations };
}

const train = (run: string): OperationRequest => ({
  kind: "train",
  ...{ run, system: "var", checkpointEvery: 50, observeEvery: 500 },
});
const saved: WorkEvent = { kind: "saved", stage: "tokenizer", step: 50 };
const until = (what: () => unknown): Promise<void> =>
  expect.poll(what, { interval: 2, timeout: 5000 }).toBeTruthy();
const stateOnDisk = async ({ id }: Operation) => (await store.read(id)).state;

describe("long work", () => {
  it("does one piece after the other in a lane, and another lane meanwhile", async () => {
    const { operators, operations } = setup();
    const [a, b] = [await operations.submit(train("a")), await operations.submit(train("b"))];
    const other = await operations.submit({ kind: "export", model: "m", out: "o" });
    await until(() => operators.calls.length === 2);
    expect(operators.calls.map(({ run }) => run).sort()).toEqual(["a", "export"]);
    expect([a.state, b.state, b.waiting, other.state]).toEqual(["running", "queued", 1, "running"]);
    operators.calls.find(({ run }) => run === "a")?.end("finished");
    await until(() => operators.calls.length === 3);
    await until(async () => (await stateOnDisk(a)) === "finished");
    expect(operators.calls[2]?.run).toBe("b");
  });

  it("goes on after a crash, and parks what crashes twice without getting further", async () => {
    const { operators, operations } = setup();
    const one = await operations.submit(train("a"));
    for (const [i, isFurther] of [true, true, false].entries()) {
      await until(() => operators.calls.length === i + 1);
      if (isFurther) operators.calls[i]?.tell(saved);
      operators.calls[i]?.fail("COMPUTE_CRASHED");
    }
    await until(async () => (await stateOnDisk(one)) === "parked");
    expect(operators.calls).toHaveLength(3);
    await operations.resume(one);
    await until(() => operators.calls.length === 4);
    expect(one).toMatchObject({ state: "running", crashes: 0, error: undefined });
  });

  it("fails at once with the work's own error, without paths", async () => {
    const { operators, operations } = setup();
    const one = await operations.submit(train("a"));
    await until(() => operators.calls.length === 1);
    operators.calls[0]?.fail("DATA_NO_ROOT");
    await until(async () => (await stateOnDisk(one)) === "failed");
    expect((await store.read(one.id)).error).toMatchObject({
      code: "DATA_NO_ROOT",
      message: "as the test says, in runs",
    });
  });

  it("stops what runs and what waits, and lets both go on", async () => {
    const { operators, operations } = setup();
    const [a, b] = [await operations.submit(train("a")), await operations.submit(train("b"))];
    await until(() => operators.calls.length === 1);
    await operations.stop(b);
    expect(b.state).toBe("stopped");
    await operations.stop(a);
    await until(() => a.state === "stopped");
    expect(operators.calls).toHaveLength(1);
    await expect(operations.forget(b)).resolves.toBeUndefined();
    await operations.resume(a);
    await until(() => operators.calls.length === 2);
    await expect(operations.resume(a)).rejects.toMatchObject({ code: "JOB_NOT_RETRYABLE" });
    await expect(operations.forget(a)).rejects.toMatchObject({ code: "JOB_RUNS" });
  });

  it("has stopped what had to be killed for it, and does not begin it again", async () => {
    const { operators, operations } = setup();
    operators.isStubborn = true;
    const one = await operations.submit(train("a"));
    await until(() => operators.calls.length === 1);
    await operations.stop(one);
    operators.calls[0]?.fail("COMPUTE_CRASHED"); // as killing it does
    await until(async () => (await stateOnDisk(one)) === "stopped");
    expect(one).toMatchObject({ state: "stopped", crashes: 0 });
    expect(operators.calls).toHaveLength(1);
  });

  it("stops work whose process has not started yet", async () => {
    const { operators, operations } = setup();
    const one = await operations.submit(train("a"));
    await operations.stop(one);
    await until(() => one.state === "stopped");
    expect(operators.calls.every(({ isStopAsked }) => isStopAsked)).toBe(true);
  });

  it("refuses what cannot be done, and more than may wait", async () => {
    const { operations } = setup();
    await expect(operations.submit(train("gone"))).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
    for (let i = 0; i < 33; i++) await operations.submit(train(`r${i}`));
    await expect(operations.submit(train("more"))).rejects.toMatchObject({ code: "QUEUE_FULL" });
    expect(operations.all).toHaveLength(33);
  });

  it("tells those who listen where it stands, what happened last, and how it ends", async () => {
    const { operators, operations } = setup();
    const one = await operations.submit(train("a"));
    await until(() => operators.calls.length === 1);
    operators.calls[0]?.tell({ kind: "text", text: "reads /secret/place" });
    operators.calls[0]?.tell(saved);
    const events: OperationEvent[] = [];
    const heard = (async () => {
      for await (const event of one.events(AbortSignal.timeout(5000))) events.push(event);
    })();
    await until(() => events.length === 3);
    operators.calls[0]?.end("finished");
    await heard;
    expect(events).toMatchObject([
      { kind: "state", state: "running" },
      { kind: "text", text: "reads runs" },
      saved,
      { kind: "state", state: "finished" },
    ]);
  });
});

describe("the next server", () => {
  it("takes up what was accepted, and counts a crash for what ran", async () => {
    const first = setup();
    const [a, b] = [await first.operations.submit(train("a")), await first.operations.submit(train("b"))];
    await until(async () => (await stateOnDisk(a)) === "running");
    const second = setup(); // the first was killed: nobody told it
    await second.operations.recover();
    await until(() => second.operators.calls.length === 1);
    expect(second.operations.get(a.id)).toMatchObject({ state: "running", crashes: 1 });
    expect(second.operations.get(b.id).state).toBe("queued");
    await until(async () => (await stateOnDisk(a)) === "running");
    const third = setup();
    await third.operations.recover();
    expect(third.operations.get(a.id).state).toBe("parked");
    await until(() => third.operators.calls[0]?.run === "b");
  });

  it("keeps what is over as it was, and goes on with what a stopping server left", async () => {
    const first = setup();
    const [a, b] = [await first.operations.submit(train("a")), await first.operations.submit(train("b"))];
    await until(() => first.operators.calls.length === 1);
    first.operators.calls[0]?.end("finished");
    await until(() => first.operators.calls.length === 2);
    await first.operations.shutDown();
    expect(first.operators.calls[1]?.isStopAsked).toBe(true);
    await expect(first.operations.submit(train("c"))).rejects.toMatchObject({ code: "SERVER_STOPPING" });
    const second = setup();
    await second.operations.recover();
    expect(second.operations.get(a.id).state).toBe("finished");
    expect(second.operations.get(b.id).crashes).toBe(0);
    await until(() => second.operators.calls[0]?.run === "b");
  });

  it("leaves what was stopped before the server was", async () => {
    const first = setup();
    first.operators.isStubborn = true;
    const one = await first.operations.submit(train("a"));
    await until(() => first.operators.calls.length === 1);
    await first.operations.stop(one);
    first.operators.isStubborn = false;
    await first.operations.shutDown();
    await until(async () => (await stateOnDisk(one)) === "stopped");
    expect(one.state).toBe("stopped");
  });

  it("leaves what was stopped just before the server was killed", async () => {
    const first = setup();
    first.operators.isStubborn = true;
    const one = await first.operations.submit(train("a"));
    await until(async () => (await stateOnDisk(one)) === "running");
    await first.operations.stop(one);
    first.operators.isStubborn = false; // it ends with the test
    const second = setup();
    await second.operations.recover();
    expect(second.operations.get(one.id).state).toBe("stopped");
    await second.operations.resume(second.operations.get(one.id));
    await until(() => second.operators.calls.length === 1);
    await until(async () => (await stateOnDisk(one)) === "running");
    const third = setup();
    await third.operations.recover();
    await until(() => third.operators.calls.length === 1);
  });
});
