/** Converting, quantising and exporting, as the commands do it. Each output appears whole or not at all. */
import { ConvertFailure, type ConvertReport, convert, isProblem } from "../../convert.node.ts";
import { exportLoop } from "../../exportLoop.node.ts";
import { quantize } from "../../quantize.node.ts";
import { NextxError } from "../../tensor/errors.ts";
import type { Work } from "./messages.ts";
import { type WorkContext, type WorkEnd, WorkFailure, type Working } from "./working.ts";

type FileWork = Work & { readonly kind: "convert" | "quantize" | "export" };

const maxTold = 200;

/** A report for the page: counts, parts, and the tensors that do not fit. */
const convertTold = ({ system, parts, counts, tensors, isModel, absent, sizeBytes }: ConvertReport) => ({
  ...{ system, counts, isModel, absent, sizeBytes: sizeBytes ?? null },
  parts: parts.map(({ part, key, summary }) => ({ part, key, summary })),
  problems: tensors
    .filter(({ fate }) => isProblem(fate))
    .slice(0, maxTold)
    .map(({ name, fate, shape, expected }) => ({
      name,
      fate,
      shape: shape ?? null,
      expected: expected ?? null,
    })),
});

async function perform(
  work: FileWork,
  { setting, signal, onText }: WorkContext,
): Promise<Record<string, unknown>> {
  const { threads, dataRoot } = setting;
  switch (work.kind) {
    case "convert": {
      const { inputs, out, options } = work;
      try {
        const onProgress = (done: number, total: number) => onText(`written ${done} of ${total} bytes`);
        return convertTold(await convert(inputs, out, { ...options, onProgress, signal }));
      } catch (error) {
        if (!(error instanceof NextxError && error.cause instanceof ConvertFailure)) throw error;
        throw new WorkFailure(error, convertTold(error.cause.report));
      }
    }
    case "quantize": {
      const { model, out, to, convolutions, count } = work;
      const root = dataRoot === undefined ? {} : { dataRoot };
      const options = { ...{ to, convolutions, count, threads, signal }, ...root, onProgress: onText };
      const { layers, kept, bits, sourceBytes, sizeBytes } = await quantize(model, out, options);
      const worst = [...layers].sort((a, b) => b.error - a.error).slice(0, 20);
      return {
        ...{ bits, sourceBytes, sizeBytes, layers: layers.length, kept: kept.length },
        worst: worst.map(({ name, error }) => ({ name, error })),
      };
    }
    case "export": {
      const { model, out, schedule } = work;
      const settings = schedule ? { schedule } : {};
      const { graphs } = await exportLoop(model, out, { settings, force: true, signal });
      return { graphs: Object.keys(graphs) };
    }
    default:
      return work satisfies never;
  }
}

// biome-ignore lint/correctness/useYield: what it tells goes through onText
export async function* workFiles(work: FileWork, context: WorkContext): Working {
  const result = await perform(work, context);
  return { outcome: "finished", result } satisfies WorkEnd;
}
