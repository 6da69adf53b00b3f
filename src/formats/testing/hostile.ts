/** What tests of readers share: the code of a failure, and every small damage to a file. */
import { expect } from "vitest";
import { NextxError } from "../../tensor/errors.ts";

/** The code of the NextxError that `run` fails with; "ok" when it passes. Any other exception goes on. */
export async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run();
    return "ok";
  } catch (error) {
    if (error instanceof NextxError) return error.code;
    throw error;
  }
}

/** Every truncation, and per byte: each bit flipped, all bits flipped, 0 and 255. */
export function* damages(
  bytes: Uint8Array,
): Generator<{ readonly what: string; readonly bytes: Uint8Array }> {
  for (let length = 0; length < bytes.length; length++) {
    yield { what: `cut to ${length}`, bytes: bytes.slice(0, length) };
  }
  for (let at = 0; at < bytes.length; at++) {
    const old = bytes[at] as number; // in range
    const values = [0, 255, old ^ 255, ...Array.from({ length: 8 }, (_, bit) => old ^ (1 << bit))];
    for (const value of new Set(values)) {
      if (value === old) continue;
      const copy = bytes.slice();
      copy[at] = value;
      yield { what: `byte ${at} from ${old} to ${value}`, bytes: copy };
    }
  }
}

/**
 * Reads every damaged variant: each must be read or fail with a NextxError whose code matches, none with anything else.
 * Returns how often each code came.
 */
export async function readDamaged(
  bytes: Uint8Array,
  read: (bytes: Uint8Array) => unknown,
  codes: RegExp,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const damage of damages(bytes)) {
    let code: string;
    try {
      code = await codeOf(() => read(damage.bytes));
    } catch (error) {
      expect.fail(`${damage.what}: ${String(error)}`);
    }
    if (code !== "ok" && !codes.test(code)) expect.fail(`${damage.what}: ${code}`);
    counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  return counts;
}
