/** `nextx doctor`: what this machine and installation can do, and what to do about the rest. */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, freemem, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { dataRootFromEnvironment } from "../../environment.node.ts";
import { writeFileDurably } from "../../formats/durable.node.ts";
import { findModel, shippedModels } from "../../models.node.ts";
import { openCpu } from "../../runtime/device.node.ts";
import { compile } from "../../runtime/program.ts";
import { trace } from "../../runtime/trace.ts";
import { floats } from "../../runtime/values.ts";
import { NextxError } from "../../tensor/errors.ts";
import { matmul } from "../../tensor/ops/linear.ts";
import { float32 } from "../../tensor/tensor.ts";
import type { Context } from "../context.ts";
import { exitCodes, print, printJson } from "../output.ts";

interface Finding {
  readonly check: string;
  readonly good: boolean;
  /** What was found, or what is wrong and how to cure it. */
  readonly text: string;
}

const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GB`;

async function computes(): Promise<string> {
  const device = await openCpu({ threads: 1 });
  const graph = trace({ x: float32(2, 2) }, ({ x }) => ({ y: matmul(x, x) }));
  using program = await compile(graph, { device });
  const { y } = await program.run({ x: floats([1, 2, 3, 4], [2, 2]) });
  const got = String(Array.from(y?.data ?? []));
  if (got !== "7,10,15,22") throw new NextxError("DOCTOR_WRONG_RESULT", `A 2 x 2 product gave ${got}.`);
  return device.runtime;
}

async function modelsAreWhole(): Promise<string> {
  const models = shippedModels();
  for (const { name } of models) await findModel(name);
  return models.length === 0 ? "none ships" : models.map(({ name }) => name).join(", ");
}

async function canWrite(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "nextx-"));
  try {
    await writeFileDurably(join(folder, "test"), "test");
    return "files can be written durably";
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const checks: Readonly<Record<string, () => Promise<string>>> = {
  node: async () => process.version,
  processor: async () => `${availableParallelism()} threads available`,
  memory: async () => `${gigabytes(freemem())} of ${gigabytes(totalmem())} free`,
  runtime: computes,
  models: modelsAreWhole,
  disk: canWrite,
  sharp: async () => {
    const loaded = await import("sharp").catch(() => undefined);
    return loaded
      ? "reads JPEG and WebP"
      : "not installed: pictures are read as PNG only (npm install sharp)";
  },
  data: async () => dataRootFromEnvironment() ?? "NEXTX_DATA is not set: only procedural data and --data",
};

/** Declares the command. */
export function define(command: Command, { json, version }: Context): void {
  command.option("--json", "machine output").action(async () => {
    const findings: Finding[] = [{ check: "nextx", good: true, text: version }];
    for (const [check, look] of Object.entries(checks)) {
      findings.push(
        await look().then(
          (text) => ({ check, good: true, text }),
          (error: unknown) => ({ check, good: false, text: explain(error) }),
        ),
      );
    }
    if (json) printJson({ findings });
    else
      for (const { check, good, text } of findings)
        print(`${good ? "ok  " : "FAIL"} ${check.padEnd(10)} ${text}`);
    if (findings.some(({ good }) => !good)) process.exitCode = exitCodes.failed;
  });
}

function explain(error: unknown): string {
  if (!(error instanceof NextxError)) return String(error);
  return `${error.code}: ${error.message} ${error.hint ?? ""}`.trim();
}
