/** `nextx serve` through the real binary: events, limits, guards, cancel, and what survives kill -9. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encode } from "fast-png";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodePng, readPngRecipe } from "../src/formats/png.ts";
import type { GenerateInput, JobInfo } from "../src/server/protocol.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "bin/nextx.js");
const work = mkdtempSync(join(tmpdir(), "nextx-serve-"));
const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) child.kill("SIGKILL");
  rmSync(work, { recursive: true, force: true });
});

interface Server {
  readonly url: string;
  readonly child: ChildProcess;
}

async function serve(args: readonly string[], env: Record<string, string> = {}): Promise<Server> {
  const child = spawn(process.execPath, [bin, "serve", "--json", "--port=0", ...args], {
    cwd: work,
    env: { ...process.env, ...env },
  });
  started.push(child);
  let [out, err] = ["", ""];
  child.stderr.on("data", (data) => {
    err += data;
  });
  return await new Promise((resolve, reject) => {
    child.stdout.on("data", (data) => {
      out += data;
      if (!out.includes("\n")) return;
      const line = JSON.parse(out.split("\n")[0] ?? "");
      if (line.url) resolve({ url: line.url, child });
      else reject(new Error(out));
    });
    child.on("exit", (code) => reject(new Error(`exit ${code}: ${out}${err}`)));
  });
}

function generate(url: string, body: GenerateInput, signal?: AbortSignal): Promise<Response> {
  return post(`${url}v1/generate`, body, signal);
}

function post(url: string, body: unknown, signal?: AbortSignal, headers = {}): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
    ...(signal && { signal }),
  });
}

async function events(response: Response): Promise<{ kind: string; data: Record<string, unknown> }[]> {
  const text = await response.text();
  return [...text.matchAll(/^event: (\w+)\ndata: (.*)$/gm)].map(([, kind = "", data = ""]) => ({
    kind,
    data: JSON.parse(data),
  }));
}

const png = (base64: unknown): Uint8Array => new Uint8Array(Buffer.from(String(base64), "base64"));
const metric = async (url: string, name: string): Promise<number> => {
  const text = await (await fetch(`${url}metrics`)).text();
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(text)?.[1] ?? 0);
};
const jobsOf = async (url: string): Promise<JobInfo[]> => (await (await fetch(`${url}v1/jobs`)).json()).data;
/** Process id of the server's computing process; 0 while there is none. */
const computeOf = ({ child }: Server): number =>
  Number.parseInt(
    spawnSync("ps", ["--ppid", String(child.pid), "-o", "pid="], { encoding: "utf8" }).stdout,
    10,
  ) || 0;

async function until(what: () => Promise<boolean> | boolean, ms = 60_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await what())) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

let server: Server;
beforeAll(async () => {
  server = await serve(["--runs=a", "--max-waiting=8"]);
}, 120_000);

describe("generate", { timeout: 120_000 }, () => {
  it("sends a preview after every scale, then pictures with their recipes", async () => {
    const got = await events(await generate(server.url, { model: "synth-32", class: ["0", 5], seed: 7 }));
    expect(got.map(({ kind }) => kind)).toEqual([
      "accepted",
      "started",
      ...Array(6).fill("preview"),
      "finished",
    ]);
    const strip = decodePng(png(got[2]?.data.strip));
    expect(strip).toMatchObject({ width: 32, height: 64 });
    const finished = got.at(-1)?.data;
    expect(readPngRecipe(png(finished?.grid))).toMatchObject({ model: "synth-32", labels: [0, 5], seed: 7 });
    const [, second] = (finished?.pictures ?? []) as string[];
    expect(readPngRecipe(png(second))).toMatchObject({ labels: [5], seed: 7, first: 1 });
  });

  it("gives a request the same bytes alone and beside others", async () => {
    const ask = async (seed: number) =>
      (await events(await generate(server.url, { model: "synth-32", class: 3, seed, previews: false }))).at(
        -1,
      )?.data.grid;
    const alone = await ask(11);
    const together = await Promise.all([ask(1), ask(2), ask(11), ask(3)]);
    expect(together[2]).toBe(alone);
    expect(await metric(server.url, 'nextx_rows_per_step_bucket{le="1"}')).toBeLessThan(
      await metric(server.url, "nextx_rows_per_step_count"),
    );
  });

  it("edits a picture, and reads a recipe back", async () => {
    const first = await events(await generate(server.url, { model: "synth-32", class: 2, seed: 1 }));
    const source = String(first.at(-1)?.data.grid);
    const edit = { png: source, box: { y0: 0, x0: 0, y1: 1, x1: 0.5 }, where: "inside" } as const;
    const got = await events(await generate(server.url, { model: "synth-32", class: 9, seed: 2, edit }));
    const [before, after] = [decodePng(png(source)), decodePng(png(got.at(-1)?.data.grid))];
    const difference = (x0: number) => {
      let sum = 0;
      for (let y = 0; y < 32; y++)
        for (let i = (y * 32 + x0) * 3; i < (y * 32 + x0 + 8) * 3; i++)
          sum += Math.abs((before.pixels[i] ?? 0) - (after.pixels[i] ?? 0));
      return sum;
    };
    expect(difference(4)).toBeGreaterThan(2 * difference(24));
    const recipe = await fetch(`${server.url}v1/recipes`, {
      method: "POST",
      headers: { "Content-Type": "image/png" },
      body: Uint8Array.from(png(got.at(-1)?.data.grid)),
    });
    expect(await recipe.json()).toMatchObject({
      model: "synth-32",
      recipe: { seed: 2, edit: { box: edit.box } },
    });
    const left = new Uint8Array(32 * 32 * 3);
    for (let y = 0; y < 32; y++) left.fill(255, y * 32 * 3, (y * 32 + 16) * 3);
    const mask = encode({ width: 32, height: 32, data: left, channels: 3 });
    const drawn = { png: source, where: "inside", mask: Buffer.from(mask).toString("base64") } as const;
    const same = await events(
      await generate(server.url, { model: "synth-32", class: 9, seed: 2, edit: drawn }),
    );
    expect(decodePng(png(same.at(-1)?.data.grid)).pixels).toEqual(after.pixels); // the box, painted
    const neither = await generate(server.url, { model: "synth-32", edit: { png: source } });
    expect(neither.status).toBe(400);
  });

  it("answers in OpenAI's shape", async () => {
    const response = await post(`${server.url}v1/images/generations`, {
      model: "fashion-32",
      prompt: "Bag",
      n: 2,
    });
    const body = await response.json();
    expect(body.data).toHaveLength(2);
    expect(readPngRecipe(png(body.data[0].b64_json))).toMatchObject({ model: "fashion-32" });
  });

  it("draws other pictures for whoever gives no seed, as OpenAI's clients expect, and tells the seed", async () => {
    const ask = async (more: object) => {
      const body = { model: "fashion-32", prompt: "Bag", ...more };
      return (await post(`${server.url}v1/images/generations`, body)).json();
    };
    const [one, two] = await Promise.all([ask({ stream: false }), ask({ output_compression: 100 })]);
    expect(one.data).not.toEqual(two.data);
    expect((await ask({ seed: one.seed })).data).toEqual(one.data);
    expect((await ask({ prompt: "Bagg" })).error).toMatchObject({
      param: "prompt",
      hint: expect.stringContaining("Bag"),
    });
  });

  it("knows a model that appeared or changed since it was asked for its models", async () => {
    const folder = join(work, "a", "late");
    const ask = async () =>
      (
        await events(await generate(server.url, { model: "run:late", class: 0, seed: 1, previews: false }))
      ).at(-1);
    expect((await generate(server.url, { model: "run:late" })).status).toBe(404);
    for (const name of ["synth-32", "fashion-32"]) {
      await new Promise((resolve) => setTimeout(resolve, 600)); // it looks no more often
      cpSync(join(root, "models", name), folder, { recursive: true });
      expect(readPngRecipe(png((await ask())?.data.grid))).toMatchObject({
        sha256: createHash("sha256")
          .update(readFileSync(join(folder, "model.safetensors")))
          .digest("hex"),
      });
    }
    rmSync(folder, { recursive: true });
  });

  it("tells requests that wait that it stops", async () => {
    const stopping = await serve(["--runs=s"]);
    const asked = [1, 2, 3].map((seed) =>
      post(`${stopping.url}v1/images/generations`, { model: "synth-32", prompt: "0", n: 32, seed }),
    );
    await until(async () => (await metric(stopping.url, "nextx_num_requests_waiting")) > 0);
    stopping.child.kill("SIGTERM");
    for (const response of await Promise.all(asked)) {
      expect(response.status).toBe(503);
      expect(Number(response.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
      expect((await response.json()).error.code).toBe("SERVER_STOPPING");
    }
    await until(() => stopping.child.exitCode === 0, 10_000);
  });

  it("gives the measurement of dynamics that ships, and the pictures of shipped models", async () => {
    const recorded = await (await fetch(`${server.url}v1/dynamics`)).json();
    const names = recorded.reports.map(({ model }: { model: { name: string } }) => model.name);
    expect(names).toEqual(["flexvar-synth-32", "flexvar-continued-synth-32", "sar-synth-32"]);
    const samples = await fetch(`${server.url}v1/models/sar-synth-32/samples`);
    expect(samples.headers.get("content-type")).toBe("image/png");
    expect(Buffer.from(await samples.arrayBuffer())).toEqual(
      readFileSync(join(root, "models/sar-synth-32/samples.png")),
    );
    expect((await fetch(`${server.url}v1/models/nobody/samples`)).status).toBe(404);
    const { data } = await (await fetch(`${server.url}v1/models`)).json();
    expect(data[0].id).toBe("sar-synth-32"); // what pages begin with
  });

  it("measures the dynamics of models, one measurement at a time, until the client is gone", async () => {
    const ask = (models: string[], signal?: AbortSignal) =>
      post(`${server.url}v1/dynamics`, { models, count: 16 }, signal);
    expect((await ask(["nobody"])).status).toBe(404);
    expect((await post(`${server.url}v1/dynamics`, { models: [], count: 16 })).status).toBe(400);
    const controller = new AbortController();
    const given = await ask(["flexvar-synth-32"], controller.signal);
    expect(given.status).toBe(200);
    await until(async () => (await ask(["synth-32"])).status === 429);
    controller.abort();
    await until(async () => {
      const response = await ask(["flexvar-synth-32"]);
      if (response.status === 429) return false;
      const got = await events(response);
      const last = got.at(-1);
      expect(last?.kind).toBe("measured");
      expect(last?.data.reports).toMatchObject([{ model: { name: "flexvar-synth-32" }, count: 16 }]);
      const charts = (last?.data.charts ?? []) as { svg: string }[];
      expect(charts.map(({ svg }) => svg.slice(0, 4))).toEqual(Array(9).fill("<svg"));
      return true;
    }, 110_000);
  });

  it("stops when the client is gone", async () => {
    const before = await metric(server.url, "nextx_rows_per_step_count");
    const controller = new AbortController();
    const response = await generate(server.url, { model: "synth-32", count: 32, seed: 5 }, controller.signal);
    const reader = response.body?.getReader();
    for (let text = ""; !text.includes("event: preview"); )
      text += new TextDecoder().decode((await reader?.read())?.value);
    controller.abort();
    await until(async () => (await metric(server.url, "nextx_num_requests_running")) === 0);
    expect((await metric(server.url, "nextx_rows_per_step_count")) - before).toBeLessThan(6);
    expect(await metric(server.url, 'nextx_requests_total{state="cancelled"}')).toBe(1);
  });
});

describe("limits and guards", { timeout: 60_000 }, () => {
  it.each([
    [{ model: "synth-32", count: 33 }, 400, "CONFIG_BAD_VALUE"],
    [{ model: "synth-32", seed: -1 }, 400, "CONFIG_BAD_VALUE"],
    [{ model: "synth-32", seed: 1.5 }, 400, "CONFIG_BAD_VALUE"],
    [{ model: "synth-32", first: 1e12 }, 400, "CONFIG_BAD_VALUE"],
    [{ model: "synth-32", extra: 1 }, 400, "CONFIG_UNKNOWN_KEY"],
    [{ model: "synth-32", settings: { cfgScale: 1e9 } }, 400, "CONFIG_BAD_VALUE"],
    [{ model: "synth-32", settings: { topk: 1 } }, 400, "CONFIG_UNKNOWN_KEY"],
    [{ model: "synth-32", settings: { seed: 1 } }, 400, "CONFIG_UNKNOWN_KEY"],
    [{ model: "synth-32", class: 99 }, 400, "LABEL_OUT_OF_RANGE"],
    [{ model: "synth-32", edit: { png: "AAAA", box: { y0: 0, x0: 0, y1: 1, x1: 1 } } }, 400, "PNG_NOT_PNG"],
    [
      { model: "synth-32", edit: { png: "AAAA", box: { y0: 0, x0: 0, y1: 0, x1: 1 } } },
      400,
      "CONFIG_BAD_VALUE",
    ],
    [{ model: "../../package.json" }, 404, "MODEL_NOT_FOUND"],
  ])("refuses %j with %d %s", async (body, status, code) => {
    const response = await post(`${server.url}v1/generate`, body);
    expect(response.status).toBe(status);
    expect((await response.json()).error.code).toBe(code);
  });

  it("refuses a picture of too many pixels without unpacking it", async () => {
    const side = 8000;
    const large = encode({
      width: side,
      height: side,
      data: new Uint8Array((side * side) / 8),
      channels: 1,
      depth: 1,
    });
    const edit = { png: Buffer.from(large).toString("base64"), box: { y0: 0, x0: 0, y1: 1, x1: 1 } };
    const start = performance.now();
    const response = await post(`${server.url}v1/generate`, { model: "synth-32", edit });
    expect((await response.json()).error.code).toBe("EDIT_BAD_PICTURE");
    expect(performance.now() - start).toBeLessThan(1500); // unpacked it took five seconds
  });

  it("ends when it cannot start, and keeps no lock", () => {
    const args = ["serve", "--json", "--port=0", "--runs=a", "--jobs=free"];
    const second = spawnSync(process.execPath, [bin, ...args], {
      cwd: work,
      encoding: "utf8",
      timeout: 30_000,
    });
    expect(JSON.parse(second.stdout)).toMatchObject({ error: { code: "RUN_LOCKED" } });
    expect(second.signal).toBeNull();
  });

  it("does not start on a device that is not there, and says why", () => {
    const env = { ...process.env, CUDA_VISIBLE_DEVICES: "-1" };
    const args = ["serve", "--json", "--port=0", "--device=cuda", "--runs", join(work, "no-device")];
    const { status, stdout } = spawnSync(process.execPath, [bin, ...args], {
      ...{ cwd: work, env, encoding: "utf8", timeout: 30_000 },
    });
    expect(status).not.toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: "DEVICE_UNAVAILABLE", hint: expect.stringContaining("CUDA") },
    });
  });

  it("says with every kind of answer what a browser may do with it", async () => {
    const { url } = server;
    const job: JobInfo = await (await post(`${url}v1/jobs`, { model: "synth-32", count: 1, seed: 1 })).json();
    while ((await (await fetch(`${url}v1/jobs/${job.id}`)).json()).state !== "finished")
      await new Promise((resolve) => setTimeout(resolve, 50));
    const page = await (await fetch(url)).text();
    const script = /src="\.?\/?([^"]+\.js)"/.exec(page)?.[1] ?? "no script";
    const paths = [
      "",
      script,
      "docs",
      "livez",
      "metrics",
      "v1/models",
      "v1/nothing",
      `v1/jobs/${job.id}/grid.png`,
    ];
    const answers = await Promise.all([
      ...paths.map((path) => fetch(url + path)),
      fetch(`${url}v1/models`, { method: "HEAD" }),
      fetch(`${url}v1/models`, { headers: { origin: "https://elsewhere.example" } }),
      generate(url, { model: "synth-32", count: 1, seed: 1 }),
      generate(url, { model: "synth-32", count: -1 }),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([
      200, 200, 200, 200, 200, 200, 404, 200, 200, 403, 200, 400,
    ]);
    for (const { url: from, headers } of answers)
      expect(
        ["content-security-policy", "cross-origin-embedder-policy", "x-content-type-options"].map(
          (name) => headers.get(name)?.split(" ")[0],
        ),
        from,
      ).toEqual(["default-src", "require-corp", "nosniff"]);
    await Promise.all(answers.map(({ body }) => body?.cancel()));
  });

  it("refuses what is no JSON, and bodies that are too large", async () => {
    const send = (body: string | ReadableStream) =>
      fetch(`${server.url}v1/generate`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        ...{ body, duplex: "half" },
      });
    expect((await send("{")).status).toBe(400);
    const large = JSON.stringify({ model: "x".repeat(3_000_000) });
    expect((await send(large)).status).toBe(413);
    expect((await send(new Blob([large]).stream())).status).toBe(413); // chunked: no declared length
  });

  it("refuses other host names and other origins", async () => {
    const { port } = new URL(server.url);
    const status = (headers: Record<string, string>) =>
      new Promise((resolve, reject) => {
        httpRequest({ port, host: "127.0.0.1", path: "/v1/models", headers }, (response) => {
          response.resume();
          resolve(response.statusCode);
        })
          .on("error", reject)
          .end();
      });
    expect(await status({ host: `localhost:${port}` })).toBe(200);
    expect(await status({ host: `evil.example:${port}` })).toBe(403);
    expect(await status({ host: `localhost:${port}`, origin: "http://evil.example" })).toBe(403);
    expect(await status({ host: `localhost:${port}`, origin: `http://localhost:${port}` })).toBe(200);
    for (const [site, wanted] of Object.entries({ "cross-site": 403, "same-site": 403, "same-origin": 200 }))
      expect(await status({ host: `localhost:${port}`, "sec-fetch-site": site })).toBe(wanted); // a picture's address
  });

  it("takes a token beyond this machine", async () => {
    await expect(serve(["--runs=t", "--host=0.0.0.0"])).rejects.toThrow("SERVE_TOKEN_REQUIRED");
    const guarded = await serve(["--runs=t"], { NEXTX_TOKEN: "secret" });
    expect((await fetch(`${guarded.url}v1/models`)).status).toBe(401);
    expect((await fetch(`${guarded.url}livez`)).status).toBe(200);
    const headers = { Authorization: "Bearer secret" };
    expect((await fetch(`${guarded.url}v1/models`, { headers })).status).toBe(200);
    guarded.child.kill("SIGTERM");
    await until(() => guarded.child.exitCode === 0, 10_000);
  });

  it("refuses more than its queue holds at once, with the time to come back", async () => {
    const controller = new AbortController();
    const asked = Array.from({ length: 20 }, (_, seed) =>
      generate(server.url, { model: "synth-32", count: 32, seed }, controller.signal),
    );
    const responses = await Promise.all(asked);
    const refused = responses.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThanOrEqual(20 - 8 - 1);
    expect(Number(refused[0]?.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect((await fetch(`${server.url}readyz`)).status).toBe(503);
    expect((await fetch(`${server.url}livez`)).status).toBe(200);
    controller.abort();
    await until(async () => (await fetch(`${server.url}readyz`)).status === 200);
  });

  it("describes itself", async () => {
    const { paths } = await (await fetch(`${server.url}openapi.json`)).json();
    expect(Object.keys(paths)).toContain("/v1/generate");
    expect(await (await fetch(`${server.url}docs`)).text()).toContain("/v1/images/generations");
  });
});

describe("crashes", { timeout: 180_000 }, () => {
  it("outlives its computing process, and parks a job that crashes twice", async () => {
    const first = computeOf(server);
    const answer = generate(server.url, { model: "synth-32", count: 32, seed: 1 }).then(events);
    await until(async () => (await metric(server.url, "nextx_num_requests_running")) === 1);
    process.kill(first, "SIGKILL");
    await until(() => computeOf(server) !== first && computeOf(server) > 0);
    expect((await fetch(`${server.url}livez`)).status).toBe(200);
    const second = computeOf(server);
    await until(async () => (await metric(server.url, "nextx_num_requests_running")) === 1);
    process.kill(second, "SIGKILL");
    expect((await answer).at(-1)).toMatchObject({
      kind: "failed",
      data: { error: { code: "COMPUTE_CRASHED" } },
    });
    const later = await events(await generate(server.url, { model: "synth-32", class: 1, seed: 1 }));
    expect(later.at(-1)?.kind).toBe("finished");
  });

  it("takes a measurement with it when it is killed, which ran below what makes pictures", async () => {
    const one = await serve(["--runs=m"]);
    const ps = (...args: string[]) => spawnSync("ps", args, { encoding: "utf8" }).stdout;
    const measurement = () =>
      /^ *(\d+) +(\d+) .* dynamics /m.exec(ps("--ppid", String(one.child.pid), "-o", "pid=,ni=,args="));
    const answer = await post(`${one.url}v1/dynamics`, { models: ["sar-synth-32"], count: 256 });
    await answer.body?.getReader().read(); // it computes
    const [, pid = "", nice] = measurement() ?? [];
    expect(nice).toBe("10");
    one.child.kill("SIGKILL");
    await until(() => /^(Z.*)?$/.test(ps("-p", pid, "-o", "stat=").trim()), 10_000); // gone, or nobody has looked yet
  });

  it("loses no accepted job to kill -9, and runs none twice to completion", async () => {
    const one = await serve(["--runs=k"]);
    const body = { model: "synth-32", class: 1, count: 2 };
    const ids: string[] = [];
    for (let seed = 0; seed < 12; seed++) {
      const response = await post(`${one.url}v1/jobs`, { ...body, seed });
      expect(response.status).toBe(202);
      ids.push((await response.json()).id);
    }
    const again = { "Idempotency-Key": "once" };
    const [a, b] = [
      await (await post(`${one.url}v1/jobs`, { ...body, seed: 99 }, undefined, again)).json(),
      await (await post(`${one.url}v1/jobs`, { ...body, seed: 99 }, undefined, again)).json(),
    ];
    expect(b.id).toBe(a.id);
    ids.push(a.id);
    await until(async () => (await jobsOf(one.url)).some(({ state }) => state === "finished"));
    one.child.kill("SIGKILL");
    await until(() => one.child.signalCode !== null);
    const two = await serve(["--runs=k"]);
    const afterRestart = await jobsOf(two.url);
    expect(afterRestart.map(({ id }) => id).sort()).toEqual([...ids].sort());
    const finishedBefore = afterRestart.filter(({ state }) => state === "finished").length;
    await until(async () => (await jobsOf(two.url)).every(({ state }) => state === "finished"), 120_000);
    expect(await metric(two.url, 'nextx_requests_total{state="finished"}')).toBeLessThanOrEqual(
      ids.length - finishedBefore + 1,
    );
    const grid = await fetch(`${two.url}v1/jobs/${ids[0]}/grid.png`);
    expect(readPngRecipe(new Uint8Array(await grid.arrayBuffer()))).toMatchObject({
      seed: 0,
      labels: [1, 1],
    });
    expect((await fetch(`${two.url}v1/jobs/${ids[0]}`, { method: "DELETE" })).status).toBe(204);
    expect((await fetch(`${two.url}v1/jobs/${ids[0]}`)).status).toBe(404);
    expect((await fetch(`${two.url}v1/jobs/..%2f..%2fpackage.json`)).status).toBe(404);
    two.child.kill("SIGKILL");
  });
});
