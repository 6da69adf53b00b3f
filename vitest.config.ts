/**
 * Tests run in Node, in at most two processes, and print nothing. What trains for more than a few seconds is a claim or a
 * benchmark, not a test.
 */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "node",
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 20_000,
    onConsoleLog(log, type, entity) {
      const test = entity && "name" in entity ? `"${entity.name}"` : "a test file";
      throw new Error(`${test} printed to ${type}: ${log.trim().slice(0, 200)}`);
    },
  },
});
