/**
 * Two scale-wise models on the same true tokens, teacher-forced: how often their likeliest codes are the same, and how far
 * their predictions are apart. Shape letters: B batch, L tokens, V codes.
 */
import { throwIfAborted } from "../decoding/loop.ts";
import { rolloutGraph } from "../regimen/rollout.ts";
import type { ScaleWiseSubject } from "../regimen/scaleWiseSubject.ts";
import { selectTokens, type TokenSet } from "../regimen/tokenSet.ts";
import type { Device } from "../runtime/device.ts";
import { compile, type Program } from "../runtime/program.ts";
import { ints, type Value } from "../runtime/values.ts";

export interface TokenAgreement {
  readonly pictures: number;
  readonly tokens: number;
  /** Share of tokens with the same likeliest code. */
  readonly agreement: number;
  /** The same per scale. */
  readonly scales: readonly { readonly side: number; readonly agreement: number }[];
  /** Mean KL(reference || model) in nats. */
  readonly divergence: number;
  /** Mean -log p(truth) in nats. */
  readonly loss: { readonly model: number; readonly reference: number };
}

/** Pictures of one run. */
const batchSize = 16;

/** Log-probabilities of one row of logits. */
function logProbabilities(logits: Float32Array, start: number, width: number, into: Float64Array): number {
  let best = 0;
  for (let v = 1; v < width; v++) {
    if ((logits[start + v] as number) > (logits[start + best] as number)) best = v; // in range
  }
  const top = logits[start + best] as number;
  let total = 0;
  for (let v = 0; v < width; v++) total += Math.exp((logits[start + v] as number) - top);
  const shift = top + Math.log(total);
  for (let v = 0; v < width; v++) into[v] = (logits[start + v] as number) - shift;
  return best;
}

async function teacher(subject: ScaleWiseSubject, device: Device): Promise<Program> {
  return compile(rolloutGraph(subject.model, false), { device, weights: subject.tokenizer.weights });
}

/** Compares over a set of true tokens. Both models must have the same schedule and codebook. Errors: ABORTED, RUNTIME_ codes. */
export async function tokenAgreement(
  model: ScaleWiseSubject,
  reference: ScaleWiseSubject,
  tokens: TokenSet,
  { device, signal }: { readonly device: Device; readonly signal?: AbortSignal },
): Promise<TokenAgreement> {
  const { plan } = reference.tokenizer;
  const width = reference.model.vocabSize;
  const count = tokens.labels.length;
  using own = await teacher(model, device);
  using other = await teacher(reference, device);
  const same = plan.groups.map(() => 0);
  const rows = [new Float64Array(width), new Float64Array(width)] as const;
  let [divergence, lossModel, lossReference] = [0, 0, 0];
  for (let first = 0; first < count; first += batchSize) {
    throwIfAborted(signal);
    const pictures = Array.from({ length: Math.min(batchSize, count - first) }, (_, i) => first + i);
    const truth = selectTokens(tokens, pictures, plan);
    const labels = tokens.labels.slice(first, first + pictures.length);
    const inputs = {
      labels: ints(labels, [labels.length]),
      past: ints(truth, [labels.length, plan.length]),
      ...reference.model.whole.values(plan),
    };
    const [a, b] = [await own.run(inputs), await other.run(inputs)].map(
      ({ logits }) => (logits as Value).data as Float32Array, // the graph's output
    ) as [Float32Array, Float32Array];
    for (const { index, start, size } of plan.groups) {
      for (let i = 0; i < pictures.length * size; i++) {
        const site = Math.floor(i / size) * plan.length + start + (i % size);
        const bestOwn = logProbabilities(a, site * width, width, rows[0]);
        const bestOther = logProbabilities(b, site * width, width, rows[1]);
        if (bestOwn === bestOther) same[index] = (same[index] as number) + 1; // one per group
        const code = truth[site] as number; // in range
        lossModel -= rows[0][code] as number;
        lossReference -= rows[1][code] as number;
        rows[1].forEach((log, v) => {
          divergence += Math.exp(log) * (log - (rows[0][v] as number)); // as wide
        });
      }
    }
  }
  const total = count * plan.length;
  return {
    pictures: count,
    tokens: total,
    agreement: same.reduce((sum, n) => sum + n, 0) / total,
    scales: plan.groups.map(({ side, size, index }) => ({
      side,
      agreement: (same[index] ?? 0) / (count * size),
    })),
    divergence: divergence / total,
    loss: { model: lossModel / total, reference: lossReference / total },
  };
}
