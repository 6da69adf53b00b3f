/** Runs through `nextx serve`: start, watch, stop, go on, and what survives kill -9 of the process and of the server. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { OperationEvent, RunDetail, RunList } from "../src/server/runProtocol.ts";

const bin = fileURLToPath(new URL("../bin/nextx.js", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "nextx-server-runs-"));
const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) child.kill("SIGKILL");
  rmSync(work, { recursive: true, force: true });
}, 60_000);

interface Server {
  readonly url: string;
  readonly child: ChildProcess;
}

async function serve(runs: string): Promise<Server> {
  const { NEXTX_DATA: _, ...env } = process.env;
  const child = spawn(process.execPath, [bin, "serve", "--json", "--port=0", `--runs=${runs}`], {
    cwd: work,
    env,
  });
  started.push(child);
  let [out, err] = ["", ""];
  child.stderr.on("data", (data) => {
    err += data;
  });
  return await new Promise((resolve, reject) => {
    child.stdout.on("data", (data) => {
      out += data;
      const url = /"url":"([^"]+)"/.exec(out)?.[1];
      if (url) resolve({ url, child });
    });
    child.on("exit", (code) => reject(new Error(`exit ${code}: ${out}${err}`)));
  });
}

const post = (url: string, body?: unknown): Promise<Response> =>
  fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
const json = async <T>(url: string): Promise<T> => (await (await fetch(url)).json()) as T;

async function until(what: () => Promise<boolean> | boolean, ms = 180_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await what())) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Process ids of a server's children, newest last. */
const childrenOf = ({ child }: Server): number[] =>
  spawnSync("ps", ["--ppid", String(child.pid), "-o", "pid="], { encoding: "utf8" })
    .stdout.split("\n")
    .flatMap((line) => Number.parseInt(line, 10) || [])
    .sort((a, b) => a - b);

async function eventsOf(url: string): Promise<OperationEvent[]> {
  const text = await (await fetch(url)).text();
  return [...text.matchAll(/^event: (\w+)\ndata: (.*)$/gm)].map(
    ([, kind, data = ""]) => ({ kind, ...JSON.parse(data) }) as OperationEvent, // our own server's
  );
}

/** A few steps of almost nothing. */
const tiny = (steps: number) => ({
  train: { tokenizer: { steps, batchSize: 2 }, transformer: { steps: 4, batchSize: 2, tokenImages: 8 } },
});
const smoke = (name: string, steps: number, more = {}) => ({
  ...{ system: "var", recipe: "smoke", name, overrides: tiny(steps), checkpointEvery: 5, observeEvery: 20 },
  ...more,
});
/** Steps whose loss was logged, in the order of the log. */
const loggedSteps = (run: string): number[] =>
  readFileSync(join(work, run, "1-tokenizer/metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .flatMap(({ step, loss }) => (loss === undefined ? [] : step));
const runOf = (server: Server, id: string) => json<RunDetail>(`${server.url}v1/runs/${id}`);

let server: Server;
beforeAll(async () => {
  server = await serve("a");
}, 120_000);

describe("runs of the server", { timeout: 600_000 }, () => {
  it("trains a run from a request, tells what happens, and makes a model of it", async () => {
    const response = await post(`${server.url}v1/runs`, smoke("first", 20));
    expect(response.status).toBe(202);
    expect(await response.json()).toEqual({ id: "first" });
    const events = await eventsOf(`${server.url}v1/runs/first/events`);
    expect(events[0]).toMatchObject({ kind: "state" });
    expect(events.at(-1)).toMatchObject({ kind: "state", state: "finished" });
    const stages = events.flatMap((event) => (event.kind === "stage" ? [event.stage] : []));
    expect(stages.slice(-1)).toEqual(["transformer"]);
    expect(events).toContainEqual(
      expect.objectContaining({ kind: "observed", stage: "tokenizer", hasSample: true }),
    );
    const run = await runOf(server, "first");
    expect(run).toMatchObject({ system: "var", recipe: "smoke", state: "finished", step: 4, steps: 4 });
    expect(run.stages.map(({ name, step }) => [name, step])).toEqual([
      ["tokenizer", 20],
      ["transformer", 4],
    ]);
    const sample = await fetch(`${server.url}v1/runs/first/samples/tokenizer/20`);
    expect(sample.headers.get("content-type")).toBe("image/png");
    const { rows } = await json<{ rows: { step: number; codebookUsage?: number[] }[] }>(
      `${server.url}v1/runs/first/metrics?stage=tokenizer&after=5`,
    );
    expect(rows[0]?.step).toBe(10);
    expect(rows[0]?.codebookUsage).toHaveLength(4);
    const listed = await json<RunList>(`${server.url}v1/runs`);
    expect(listed).toMatchObject({ total: 1, data: [{ id: "first", state: "finished" }] });
    for (const part of ["", "/card", "/file"]) // before anybody lists models
      expect((await fetch(`${server.url}v1/models/run:first${part}`)).status, part).toBe(200);
    const { data } = await json<{ data: { id: string }[] }>(`${server.url}v1/models`);
    expect(data.map(({ id }) => id)).toContain("run:first");
  });

  it("trains forecasters, which are no models of pictures", async () => {
    const name = "series";
    const asked = { system: "spacetime", recipe: "smoke", name, checkpointEvery: 20, observeEvery: 20 };
    expect((await post(`${server.url}v1/runs`, asked)).status).toBe(202);
    await eventsOf(`${server.url}v1/runs/${name}/events`);
    const run = await runOf(server, name);
    expect(run).toMatchObject({ state: "finished", makes: "forecasts", step: 40, steps: 40 });
    const { rows } = await json<{ rows: { validationMse?: number }[] }>(
      `${server.url}v1/runs/${name}/metrics?stage=forecaster`,
    );
    expect(rows.filter(({ validationMse }) => validationMse !== undefined)).toHaveLength(2);
    const { data } = await json<{ data: { id: string }[] }>(`${server.url}v1/models`);
    expect(data.map(({ id }) => id)).not.toContain(`run:${name}`);
    const { data: systems } = await json<{ data: { id: string }[] }>(`${server.url}v1/training`);
    expect(systems.map(({ id }) => id)).toContain("autoformer");
  });

  it("stops a run with a checkpoint, and goes on where it was", async () => {
    await post(`${server.url}v1/runs`, smoke("stopped", 100_000));
    await until(async () => (await runOf(server, "stopped").catch(() => undefined))?.step !== 0);
    expect((await post(`${server.url}v1/runs/stopped/stop`)).status).toBe(204);
    await until(async () => (await runOf(server, "stopped")).state === "stopped");
    const { step } = await runOf(server, "stopped");
    expect((await post(`${server.url}v1/runs/stopped/resume`)).status).toBe(204);
    await until(async () => (await runOf(server, "stopped")).step > step);
    expect((await post(`${server.url}v1/runs/stopped/resume`)).status).toBe(409);
    await post(`${server.url}v1/runs/stopped/stop`);
    await until(async () => (await runOf(server, "stopped")).state === "stopped");
    const steps = loggedSteps("a/stopped");
    expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
  });

  it("trains one run at a time, makes pictures meanwhile, and lets go of what waits", async () => {
    await post(`${server.url}v1/runs`, smoke("long", 100_000));
    await post(`${server.url}v1/runs`, smoke("waits", 100_000));
    await until(async () => (await runOf(server, "long").catch(() => undefined))?.state === "running");
    const { data } = await json<RunList>(`${server.url}v1/runs?search=waits`);
    expect(data).toMatchObject([{ id: "waits", state: "queued" }]);
    expect(await runOf(server, "waits")).toMatchObject({ state: "queued", stages: [], config: null });
    const body = { model: "synth-32", class: 1, previews: false };
    expect(await (await post(`${server.url}v1/generate`, body)).text()).toContain("event: finished");
    expect((await runOf(server, "long")).state).toBe("running");
    await post(`${server.url}v1/runs/waits/stop`);
    await post(`${server.url}v1/runs/long/stop`);
    await until(async () => (await runOf(server, "long")).state === "stopped");
    const [waits] = (await json<RunList>(`${server.url}v1/runs?search=waits`)).data;
    expect(waits?.state).toBe("stopped");
    expect((await fetch(`${server.url}v1/operations/${waits?.operation}`, { method: "DELETE" })).status).toBe(
      204,
    );
    expect((await json<RunList>(`${server.url}v1/runs?search=waits`)).total).toBe(0);
  });

  it.each([
    [{ system: "nobody" }, 400, "SYSTEM_UNKNOWN"],
    [{ system: "var", recipe: "nothing" }, 400, "RECIPE_UNKNOWN"],
    [{ system: "var", overrides: { train: { tokenizer: { steps: 0 } } } }, 400, "CONFIG_BAD_VALUE"],
    [{ system: "var", overrides: { train: { tokenizer: { stepps: 1 } } } }, 400, "CONFIG_UNKNOWN_KEY"],
    [{ system: "var", name: "../x" }, 400, "CONFIG_BAD_VALUE"],
    [{ system: "var", name: "first" }, 409, "RUN_EXISTS"],
    [{ system: "var", from: "../x" }, 404, "MODEL_NOT_FOUND"],
    [{ system: "var", from: "sar-synth-32" }, 400, "TRAIN_OTHER_SYSTEM"],
    [{ system: "var", checkpointEvery: 0 }, 400, "CONFIG_BAD_VALUE"],
  ])("refuses %j with %d %s", async (body, status, code) => {
    const response = await post(`${server.url}v1/runs`, body);
    expect((await response.json()).error.code).toBe(code);
    expect(response.status).toBe(status);
  });

  it("opens what is in its folder, by name, and nothing else", async () => {
    for (const id of ["..", "%2e%2e%2fa%2ffirst", ".operations", "nobody"])
      expect((await fetch(`${server.url}v1/runs/${id}/metrics?stage=tokenizer`)).status, id).toBe(404);
    expect((await fetch(`${server.url}v1/runs/first/metrics?stage=..`)).status).toBe(404);
    expect((await fetch(`${server.url}v1/runs/first/samples/tokenizer/21`)).status).toBe(404);
    expect((await fetch(`${server.url}v1/runs?limit=1000`)).status).toBe(400);
  });

  it("fails a run with the reason, without a path of this machine", async () => {
    await post(`${server.url}v1/runs`, smoke("no-data", 5, { recipe: "fashion-32" }));
    await eventsOf(`${server.url}v1/runs/no-data/events`);
    const { data } = await json<RunList>(`${server.url}v1/runs?state=failed`);
    expect(data.map(({ id }) => id)).toContain("no-data");
    const operation = await json(`${server.url}v1/operations/${data[0]?.operation}`);
    expect(operation).toMatchObject({ error: { code: "DATA_NO_ROOT" } });
    expect(JSON.stringify(operation)).not.toContain(work);
  });
});

describe("crashes of runs", { timeout: 600_000 }, () => {
  it("goes on from the last checkpoint when its process is killed, and parks what never gets further", async () => {
    await post(`${server.url}v1/runs`, smoke("killed", 100_000));
    await until(async () => ((await runOf(server, "killed").catch(() => undefined))?.step ?? 0) >= 20);
    const before = await runOf(server, "killed");
    process.kill(childrenOf(server).at(-1) as number, "SIGKILL"); // the newest computes the run
    await until(async () => (await runOf(server, "killed")).step > before.step);
    const steps = loggedSteps("a/killed");
    expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
    expect((await fetch(`${server.url}livez`)).status).toBe(200);
    await post(`${server.url}v1/runs/killed/stop`);
    await until(async () => (await runOf(server, "killed")).state === "stopped");

    await post(`${server.url}v1/runs`, smoke("poisoned", 100_000, { checkpointEvery: 1_000_000 }));
    for (const _ of [1, 2]) {
      const known = childrenOf(server).at(-1);
      await until(() => childrenOf(server).at(-1) !== known || childrenOf(server).length > 1);
      await until(async () => (await runOf(server, "poisoned").catch(() => undefined))?.state === "running");
      const victim = childrenOf(server).at(-1) as number;
      process.kill(victim, "SIGKILL");
      await until(() => !childrenOf(server).includes(victim));
    }
    const last = (await eventsOf(`${server.url}v1/runs/poisoned/events`)).at(-1);
    expect(last).toMatchObject({ kind: "state", state: "parked", error: { code: "COMPUTE_CRASHED" } });
  });

  it("goes on with every run after kill -9 of the server, and begins none twice", async () => {
    const one = await serve("k");
    for (const name of ["runs-on", "next"]) await post(`${one.url}v1/runs`, smoke(name, 40));
    await until(async () => ((await runOf(one, "runs-on").catch(() => undefined))?.step ?? 0) >= 10);
    one.child.kill("SIGKILL");
    const two = await serve("k");
    for (const name of ["runs-on", "next"]) {
      const last = (await eventsOf(`${two.url}v1/runs/${name}/events`)).at(-1);
      expect(last).toMatchObject({ kind: "state", state: "finished" });
      const steps = loggedSteps(`k/${name}`);
      expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
      expect(steps.at(-1)).toBe(40);
    }
    two.child.kill("SIGTERM");
  });
});

describe("a thousand runs", { timeout: 600_000 }, () => {
  it("lists any part of them quickly", async () => {
    const source = join(work, "a/first");
    for (let i = 0; i < 1000; i++) {
      const folder = join(work, `many/run-${String(i).padStart(4, "0")}`);
      mkdirSync(join(folder, "1-tokenizer"), { recursive: true });
      for (const file of ["run.json", "1-tokenizer/run.json", "1-tokenizer/metrics.jsonl"])
        cpSync(join(source, file), join(folder, file));
      if (i % 3 === 0) writeFileSync(join(folder, "model.safetensors"), "");
    }
    const many = await serve("many");
    const timed = async (query: string) => {
      const start = performance.now();
      const list = await json<RunList>(`${many.url}v1/runs${query}`);
      return { list, ms: performance.now() - start };
    };
    const first = await timed("");
    expect(first.list).toMatchObject({ total: 1000 });
    expect(first.list.data).toHaveLength(50);
    const again = await timed("?offset=500&limit=50");
    expect(again.list.data[0]).toMatchObject({ system: "var", step: 20, state: "stopped" });
    const found = await timed("?search=0999");
    expect(found.list).toMatchObject({ total: 1, data: [{ id: "run-0999", state: "finished" }] });
    const finished = await timed("?state=finished");
    expect(finished.list.total).toBe(334);
    expect(first.ms).toBeLessThan(5000);
    expect(Math.max(again.ms, found.ms)).toBeLessThan(500);
    expect(existsSync(join(work, "many/run-0000"))).toBe(true);
    many.child.kill("SIGTERM");
  });
});
