/**
 * `npm run test:contract`: every op and every kind of program on cpu, wasm and, in an installed Chromium, on software
 * WebGPU. Prints a table; any failure makes the exit code 1. Arguments: names of rows to run, all when none.
 */
import { type Column, openPage, processColumns } from "../test/contract/devices.ts";
import { type Check, gapChecks, opChecks, programChecks } from "../test/contract/suite.ts";

const PAGE_LOST = /crash|closed|unreachable|memory access|Aborted|Timeout/i;

interface Failure {
  readonly row: string;
  readonly column: string;
  readonly message: string;
}

async function runColumn(checks: readonly Check[], first: Column, failures: Failure[]): Promise<string[]> {
  let column = first;
  const cells: string[] = [];
  for (const check of checks) {
    try {
      await check.run(column);
      cells.push("ok");
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      failures.push({ row: check.row, column: column.name, message });
      cells.push("FAILED");
      if (PAGE_LOST.test(message) && column.reopen) column = await column.reopen();
    }
  }
  return cells;
}

/** Runs the suite in the repository `root`; returns the exit code. */
export async function main(root: string, args: readonly string[]): Promise<number> {
  const all = [...opChecks(), ...gapChecks(), ...programChecks()];
  const checks = all.filter(({ row }) => args.length === 0 || args.includes(row));
  const failures: Failure[] = [];
  const names: string[] = [];
  const columns: string[][] = [];
  const run = async (column: Column): Promise<void> => {
    const start = performance.now();
    columns.push(await runColumn(checks, column, failures));
    names.push(column.name);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${column.name}: ${column.device.runtime}, ${checks.length} rows, ${seconds} s`);
  };
  for (const column of await processColumns()) await run(column);
  const page = await openPage(root);
  if (page === undefined) console.log("webgpu: skipped, no Chromium is installed");
  try {
    if (page) await run(await page.column());
  } finally {
    await page?.close();
  }
  const width = Math.max(...checks.map(({ row }) => row.length), 2);
  console.log(`\n${"op".padEnd(width)}  ${names.map((name) => name.padEnd(7)).join(" ")}`);
  for (const [i, { row }] of checks.entries())
    console.log(`${row.padEnd(width)}  ${columns.map((cells) => cells[i]?.padEnd(7)).join(" ")}`);
  for (const { row, column, message } of failures) console.log(`\n${row} on ${column}: ${message}`);
  return failures.length > 0 ? 1 : 0;
}
