/** A device that does what a test says. */
import { NextxError } from "../../tensor/errors.ts";
import type { Batch, BatchResult, BatchStep, Compute } from "../compute/messages.ts";

interface Call {
  readonly batch: Batch;
  readonly signal: AbortSignal;
  step(): void;
  finish(): void;
  fail(code: string): void;
}

export class FakeCompute implements Compute {
  readonly calls: Call[] = [];

  run(batch: Batch, onStep: (step: BatchStep) => void, signal: AbortSignal): Promise<BatchResult> {
    return new Promise((resolve, reject) => {
      const fail = (code: string) => reject(new NextxError(code, "as the test says"));
      signal.addEventListener("abort", () => fail("ABORTED"));
      this.calls.push({
        batch,
        signal,
        fail,
        step: () => onStep({ done: 1, total: 2, strips: batch.parts.map(() => new Uint8Array([1])) }),
        finish: () =>
          resolve({
            computedMs: 1,
            parts: batch.parts.map(({ seed }) => ({
              pictures: [new Uint8Array([seed])],
              grid: new Uint8Array([seed]),
            })),
          }),
      });
    });
  }
}
