import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { opTable } from "./opTable.ts";

it("holds every op that is defined in this folder, under a unique name", () => {
  const root = new URL(".", import.meta.url);
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".ts") && !file.endsWith(".test.ts") && !file.startsWith("testing"),
  );
  const defined = files.flatMap((file) =>
    [...readFileSync(new URL(file, root), "utf8").matchAll(/^const (\w+Op)\b/gm)].map(([, name]) => name),
  );
  expect(new Set(defined).size).toBe(defined.length);
  expect(opTable.size).toBe(defined.length);
  for (const [name, op] of opTable) expect(op.name).toBe(name);
});
