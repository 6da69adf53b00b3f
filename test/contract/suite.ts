/**
 * The contract of a provider: every op at its tiny cases, every kind of program with the CPU's numbers. On WebGPU each
 * runs twice: at fixed sizes with the CPU forbidden (every kernel exists), and with symbolic sizes, empty ones among them,
 * where the CPU may do the arithmetic on sizes.
 */

import { attend } from "../../src/nn/layers.ts";
import type { Device } from "../../src/runtime/device.ts";
import { fixSizes } from "../../src/runtime/fixedSizes.ts";
import { compile } from "../../src/runtime/program.ts";
import { OpChecker } from "../../src/runtime/testing/checkOp.ts";
import { trace } from "../../src/runtime/trace.ts";
import { floats } from "../../src/runtime/values.ts";
import { opTable } from "../../src/tensor/opTable.ts";
import { float32 } from "../../src/tensor/tensor.ts";
import type { Column } from "./devices.ts";
import { type ContractCase, opCases, sizesOf, webgpuGaps } from "./opCases.ts";
import {
  type Computed,
  expectSame,
  generateTiny,
  tinyGraphs,
  tinyWeights,
  tokenizeTiny,
  trainTiny,
} from "./tinyVar.ts";

/** Relative to the largest entry: what a float32 program may differ between providers. */
export const PROGRAM_TOLERANCE = 1e-4;

/** One row of the table for one provider. */
export interface Check {
  readonly row: string;
  run(column: Column): Promise<void>;
}

const hasElements = (sizes: Readonly<Record<string, number>>) => Object.values(sizes).every((n) => n > 0);

async function checkOpCase(name: string, opCase: ContractCase, { device, strict }: Column): Promise<void> {
  const sizes = sizesOf(opCase);
  const options = { differences: false };
  const checker = new OpChecker(device, options);
  // On a software GPU every new kernel takes a tenth of a second; second gradients are made of the same ops.
  const derivatives = strict ? Math.min(1, opCase.derivatives ?? 1) : (opCase.derivatives ?? 2);
  const bounded = { ...opCase, derivatives: derivatives as 0 | 1 | 2 };
  await checker.check(bounded, sizes);
  if (!checker.covered.has(name)) throw new Error(`the case holds no ${name}`);
  if (strict === undefined) return;
  await new OpChecker(strict, { ...options, fixed: true }).check(bounded, sizes.filter(hasElements));
}

/** Every op of the table. @throws Error for an op without a case */
export function opChecks(): Check[] {
  return [...opTable.keys()].map((name) => {
    const cases = opCases[name];
    if (cases === undefined || cases.length === 0)
      throw new Error(`op "${name}" has no case in the contract`);
    return {
      row: name,
      async run(column) {
        for (const [i, opCase] of cases.entries()) {
          if ((opCase.weightBits ?? 0) > (column.device.weightBits ?? 8)) continue;
          await checkOpCase(name, opCase, column).catch((error: unknown) => {
            throw new Error(`case ${i}: ${error instanceof Error ? error.message : error}`);
          });
        }
      },
    };
  });
}

/** The gaps of WebGPU: refused where the CPU is forbidden, else right. One that a new runtime fills fails here. */
export function gapChecks(): Check[] {
  return Object.entries(webgpuGaps).map(([name, opCase]) => ({
    row: `gap: ${name}`,
    async run({ device, strict }) {
      const options = { differences: false };
      await new OpChecker(device, options).check(opCase, sizesOf(opCase));
      if (strict === undefined) return;
      const refused = new OpChecker(strict, options).check(opCase, sizesOf(opCase)).then(
        () => false,
        (error: unknown) => /fallback to CPU/.test(String(error)),
      );
      if (!(await refused)) throw new Error("not refused: has the runtime gained a kernel?");
    },
  }));
}

/** A query that sees no key gets zeros on every provider. */
async function hiddenRow(device: Device): Promise<Computed> {
  const specs = { x: float32(2, 2), bias: float32(2, 2) };
  const graph = trace(specs, ({ x, bias }) => ({ y: attend(x, x, x, 1, bias) }));
  using program = await compile(graph, { device });
  const { y } = await program.run({
    x: floats([1, 2, 3, 4], [2, 2]),
    bias: floats([0, -1e9, -1e9, -1e9], [2, 2]),
  });
  if (y.data[2] !== 0 || y.data[3] !== 0) throw new Error(`a hidden row gave ${y.data}`);
  return { numbers: { y: y.data }, ids: {} };
}

const kinds = {
  "attention with a hidden row": hiddenRow,
  "training step": trainTiny,
  generation: generateTiny,
  "tokenizer encode, decode": tokenizeTiny,
};

/** Every kind of program; the first column's numbers are the reference. */
export function programChecks(): Check[] {
  const reference = new Map<string, Computed>();
  const computed = Object.entries(kinds).map(([row, compute]) => ({
    row,
    async run({ device }: Column) {
      const result = await compute(device);
      const known = reference.get(row);
      if (known === undefined) reference.set(row, result);
      else expectSame(result, known, PROGRAM_TOLERANCE);
    },
  }));
  const kernels = tinyGraphs().map(([row, graph, sizes]) => ({
    row: `kernels of ${row}`,
    async run({ strict, device }: Column) {
      const fixed = fixSizes(Object.entries(graph.outputs), sizes);
      (await compile(fixed, { device: strict ?? device, weights: tinyWeights }))[Symbol.dispose]();
    },
  }));
  return [...computed, ...kernels];
}
