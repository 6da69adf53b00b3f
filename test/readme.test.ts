/** What the README says works: its short commands, its program, its command table. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");
const work = mkdtempSync(join(tmpdir(), "nextx-readme-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const blocks = (language: string): string[] =>
  [...readme.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, "gs"))].map((match) => match[1] ?? "");

function nextx(args: readonly string[]) {
  return spawnSync(process.execPath, [join(root, "bin/nextx.js"), ...args], { cwd: work, encoding: "utf8" });
}

describe("the README", () => {
  const commands = blocks("sh")
    .join("")
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line.startsWith("npx nextx ") && !/ (train|serve) /.test(line))
    .map((line) => line.split(/\s+/).slice(2));

  it("has commands to run", () => expect(commands.length).toBeGreaterThan(3));

  // one of them may have to build the studio first
  it.each(commands)("nextx %s %s %s ...", { timeout: 120_000 }, (...args) => {
    const { status, stderr } = nextx(args);
    expect(stderr).toBe("");
    expect(status).toBe(0);
  });

  it("has a server that starts, says where it is, and stops", { timeout: 120_000 }, async () => {
    const line = blocks("sh")
      .join("")
      .split("\n")
      .find((one) => one.startsWith("npx nextx serve"));
    const args = (line ?? "")
      .replace(/#.*/, "")
      .replace(/--port \d+/, "--port 0")
      .trim()
      .split(/\s+/)
      .slice(2);
    const child = spawn(process.execPath, [join(root, "bin/nextx.js"), ...args], { cwd: work });
    const url = await new Promise<string>((resolve, reject) => {
      let text = "";
      child.stdout.on("data", (data) => {
        text += data;
        const found = /API: +(\S+)docs/.exec(text)?.[1];
        if (found) resolve(found);
      });
      child.on("exit", (code) => reject(new Error(`exit ${code}: ${text}`)));
    });
    expect(await (await fetch(`${url}livez`)).text()).toBe("ok");
    child.removeAllListeners("exit");
    const ended = new Promise((resolve) => child.on("exit", resolve));
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
  });

  it("makes the same bytes again", () => {
    expect(readFileSync(join(work, "a.png"))).toEqual(readFileSync(join(work, "b.png")));
  });

  it("has a program that runs", async () => {
    const [program = ""] = blocks("ts");
    const path = join(work, "program.ts");
    writeFileSync(
      path,
      program
        .replace('"nextx"', JSON.stringify(join(root, "src/index.node.ts")))
        .replace("console.log", "lines.push"),
    );
    const lines: string[] = [];
    Object.assign(globalThis, { lines });
    await import(path);
    expect(lines).toHaveLength(6);
  });

  it("names every command, and only commands there are", () => {
    const help = nextx(["--help"]).stdout;
    const section = readme.slice(readme.indexOf("## Commands"), readme.indexOf("## Systems"));
    const told = [...section.matchAll(/^\| `([a-z]+)[^`]*`\s*\|/gm)].map((match) => match[1]);
    const there = [...help.matchAll(/^ {2}([a-z]+) {2,}/gm)].map((match) => match[1]);
    expect(told.sort()).toEqual(there.filter((name) => name !== "help").sort());
  });

  it("links to files that exist", () => {
    for (const [, target = ""] of readme.matchAll(/\]\(([^)#:]+)\)/g))
      expect(existsSync(join(root, target)), target).toBe(true);
  });
});
