import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

type Versions = Record<string, string>;
interface Manifest {
  dependencies: Versions;
  devDependencies: Versions;
  peerDependencies: Versions;
  peerDependenciesMeta: Record<string, { optional?: boolean }>;
}
interface Lock {
  packages: Record<string, { version?: string; license?: string; resolved?: string; integrity?: string }>;
}

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const manifest = JSON.parse(read("package.json")) as Manifest; // our own file
const lock = JSON.parse(read("package-lock.json")) as Lock; // written by npm
const installed: Versions = { ...manifest.dependencies, ...manifest.devDependencies };
const names = [...new Set([...Object.keys(installed), ...Object.keys(manifest.peerDependencies)])].sort();
const rows = new Map(
  [...read("docs/DEPENDENCIES.md").matchAll(/^\| `([^`]+)` *\| (.+?) *\| (.+?) *\|$/gm)].map(
    ([, name = "", reason = "", licence = ""]) => [name, { reason, licence }],
  ),
);

it("has one row with a reason for each dependency, and no row for anything else", () => {
  expect([...rows.keys()].sort()).toEqual(names);
  for (const [name, { reason }] of rows) expect(reason.length, name).toBeGreaterThan(20);
});

it("states the licence that the package states", () => {
  for (const [name, { licence }] of rows) {
    const actual = lock.packages[`node_modules/${name}`]?.license ?? "not in the lockfile";
    expect(licence, name).toBe(actual.replace(/^\((.*)\)$/, "$1"));
  }
});

it("pins exact versions, the ones in the lockfile", () => {
  for (const [name, version] of Object.entries(installed)) {
    expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
    expect(lock.packages[`node_modules/${name}`]?.version, name).toBe(version);
  }
});

it("keeps peers optional and installs them here", () => {
  for (const name of Object.keys(manifest.peerDependencies)) {
    expect(manifest.peerDependenciesMeta[name]?.optional, name).toBe(true);
    expect(installed, name).toHaveProperty([name]);
  }
});

it("has a lockfile with hashes and without addresses", () => {
  for (const [path, { resolved, integrity }] of Object.entries(lock.packages)) {
    expect(resolved, path).toBeUndefined();
    if (path.startsWith("node_modules/")) expect(integrity, path).toMatch(/^sha512-/);
  }
});
