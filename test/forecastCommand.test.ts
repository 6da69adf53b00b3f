/** `nextx forecast` as a process: its files are different ones, its words are short, what cannot be written is told. */
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";

const bin = fileURLToPath(new URL("../bin/nextx.js", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "nextx-forecast-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const day = (i: number) => new Date(Date.UTC(2024, 0, 1 + i)).toISOString().slice(0, 10);
const table = (ids: readonly string[], value = (i: number) => i % 7): string =>
  [
    "unique_id,ds,y",
    ...ids.flatMap((id) => Array.from({ length: 20 }, (_, i) => `${id},${day(i)},${value(i)}`)),
    "",
  ].join("\n");
const naive = ["--horizon", "3", "--method", "naive"];

function forecast(args: readonly string[], stdout?: number) {
  const stdio = stdout === undefined ? "pipe" : (["ignore", stdout, "pipe"] as const);
  const { status, ...output } = spawnSync(process.execPath, [bin, "forecast", ...args], {
    ...{ cwd: work, encoding: "utf8" },
    ...(stdio !== "pipe" && { stdio: [...stdio] }),
  });
  return { status, out: output.stdout ?? "", err: output.stderr };
}

it("replaces neither the series nor its own table, also when asked to replace files", () => {
  const text = table(["a"]);
  writeFileSync(join(work, "in.csv"), text);
  for (const flag of ["--out", "--page"]) {
    const { status, err } = forecast(["in.csv", ...naive, flag, "./in.csv", "--force"]);
    expect(err).toContain("CLI_SAME_FILE");
    expect(status).toBe(2);
  }
  expect(readFileSync(join(work, "in.csv"), "utf8")).toBe(text);
  expect(forecast(["in.csv", ...naive, "--out", "t.csv", "--page", "./t.csv"]).err).toContain(
    "CLI_SAME_FILE",
  );
  expect(forecast(["in.csv", ...naive, "--out", "t.csv", "--page", ""]).err).toContain("FILE_BAD_NAME");
  expect(existsSync(join(work, "t.csv"))).toBe(false);
}, 60_000);

it("says much about many series, and about one of a long name, in few words", () => {
  writeFileSync(
    join(work, "many.csv"),
    table(
      Array.from({ length: 60 }, (_, i) => `s${i}`),
      () => 1,
    ),
  );
  const many = forecast(["many.csv", ...naive, "--out", "many-out.csv"]);
  expect(many.out.match(/SERIES_CONSTANT/g)).toHaveLength(20);
  expect(many.out).toContain("and 40 more");
  writeFileSync(join(work, "long.csv"), table(["x".repeat(50_000)]).replace(/,0\n/, ",none\n"));
  const { status, err } = forecast(["long.csv", ...naive]);
  expect(status).toBe(1);
  expect(err).toContain("error SERIES_");
  expect(err.length).toBeLessThan(5_000);
}, 60_000);

it.skipIf(!existsSync("/dev/full"))(
  "tells when what it says cannot be written",
  () => {
    const full = openSync("/dev/full", "w");
    const { status, err } = forecast(["in.csv", ...naive, "--out", "full.csv"], full);
    closeSync(full);
    expect(err).toContain("error FILE_");
    expect(err).toContain("ENOSPC");
    expect(err).not.toMatch(/^ {2,}at /m);
    expect(status).toBe(1);
  },
  60_000,
);
