/**
 * Comparison with reference numbers of the authors' code. A case names checks; a system gives a table from `run` to the
 * function that trains, samples or evaluates; every output is compared within the case's tolerance. Nothing passes by
 * being absent: unknown runs, missing outputs, other shapes and NaN fail.
 */
import type { HostTensor } from "../formats/hostTensor.ts";
import type { ParityCheck, ParityInputs, ParityTable } from "../formats/parityCase.ts";
import { toValue } from "../formats/tensorValue.ts";
import type { Value } from "../runtime/values.ts";
import { NextxError } from "../tensor/errors.ts";

export interface OutputComparison {
  readonly output: string;
  readonly pass: boolean;
  /** Largest |a - b| and |a - b| / |b|; NaN when they could not be computed. */
  readonly maxAbs: number;
  readonly maxRel: number;
  /** Why it failed; empty when it passed. */
  readonly reason: string;
}

export interface CheckResult {
  readonly name: string;
  readonly run: string;
  readonly pass: boolean;
  readonly outputs: readonly OutputComparison[];
  readonly error?: string;
}

/** Compares one output. Integers and booleans must be equal on either side; floats within atol + rtol |b|, NaN nowhere. */
export function compareOutput(
  output: string,
  actual: Value | undefined,
  expected: HostTensor,
  atol: number,
  rtol: number,
): OutputComparison {
  const fail = (reason: string, maxAbs = Number.NaN, maxRel = Number.NaN): OutputComparison => ({
    output,
    pass: false,
    maxAbs,
    maxRel,
    reason,
  });
  if (actual === undefined) return fail("the system gave no such output");
  if (String(actual.shape) !== String(expected.shape))
    return fail(`shape [${actual.shape}], expected [${expected.shape}]`);
  const reference = toValue(expected).data;
  if (reference.length !== actual.data.length)
    return fail(`${actual.data.length} elements, expected ${reference.length}`);
  const exact = !(reference instanceof Float32Array && actual.data instanceof Float32Array);
  let [maxAbs, maxRel, worst] = [0, 0, -1];
  for (let i = 0; i < reference.length; i++) {
    const [a, b] = [actual.data[i] as number, reference[i] as number]; // same length
    if (Number.isNaN(a) || Number.isNaN(b)) return fail(`NaN at element ${i}`);
    const gap = a === b ? 0 : Math.abs(a - b);
    maxAbs = Math.max(maxAbs, gap);
    maxRel = Math.max(maxRel, gap === 0 ? 0 : gap / Math.max(Math.abs(b), Number.MIN_VALUE));
    const allowed = exact || !Number.isFinite(b) ? 0 : atol + rtol * Math.abs(b);
    if (!(gap <= allowed) && worst < 0) worst = i;
  }
  if (worst >= 0)
    return fail(`element ${worst} is ${actual.data[worst]}, expected ${reference[worst]}`, maxAbs, maxRel);
  return { output, pass: true, maxAbs, maxRel, reason: "" };
}

/** Inputs of a check, and of those it builds on. */
function inputsOf(
  check: ParityCheck,
  tensors: ReadonlyMap<string, HostTensor>,
  checks: readonly ParityCheck[],
): ParityInputs {
  const tensor = (input: string): Value => {
    const key = check.inputs[input];
    if (key === undefined)
      throw new NextxError("PARITY_MISSING_INPUT", `The check gives no input "${input}".`, { path: input });
    return toValue(tensorOf(tensors, key));
  };
  const related = (run: string): ParityInputs => {
    const earlier = checks.slice(0, Math.max(0, checks.indexOf(check)));
    const ofRun = (other: ParityCheck) => other.run === run;
    const found = earlier.findLast(ofRun) ?? checks.find(ofRun);
    if (found !== undefined) return inputsOf(found, tensors, checks);
    throw new NextxError("PARITY_MISSING_CHECK", `It builds on a check that runs "${run}".`, {
      path: check.name,
    });
  };
  return { tensor, args: check.args, wanted: Object.keys(check.outputs), related };
}

function tensorOf(tensors: ReadonlyMap<string, HostTensor>, key: string): HostTensor {
  const tensor = tensors.get(key);
  if (tensor !== undefined) return tensor;
  throw new NextxError("PARITY_MISSING_TENSOR", "The case has no such tensor.", { path: key });
}

/** Runs one check of `checks`; errors become failures with their message. */
export async function runCheck(
  check: ParityCheck,
  tensors: ReadonlyMap<string, HostTensor>,
  table: ParityTable,
  checks: readonly ParityCheck[] = [check],
): Promise<CheckResult> {
  const { name, run } = check;
  const failed = (error: string): CheckResult => ({ name, run, pass: false, outputs: [], error });
  const action = Object.hasOwn(table, run) ? table[run] : undefined;
  if (action === undefined) return failed(`PARITY_UNKNOWN_RUN: unknown run "${run}"`);
  if (check.expected !== undefined)
    return failed('PARITY_NO_RESULTS: this system has no results for "expected"');
  try {
    const actual = await action(inputsOf(check, tensors, checks));
    const outputs = Object.entries(check.outputs).map(([output, key]) =>
      compareOutput(output, actual[output], tensorOf(tensors, key), check.atol, check.rtol),
    );
    const isEmpty = ([, key]: [string, string]) => tensorOf(tensors, key).shape.includes(0);
    if (Object.entries(check.outputs).every(isEmpty))
      return failed("PARITY_NO_OUTPUTS: the check compares nothing");
    return { name, run, pass: outputs.every((output) => output.pass), outputs };
  } catch (error) {
    return failed(
      error instanceof NextxError
        ? `${error.code}: ${error.message} ${error.path ?? ""}`
        : `PARITY_BAD_CASE: it cannot be computed: ${error}`,
    );
  }
}
