/** Training our classifier: cross-entropy of every head, added up. A task as any other: seeded, resumable, no clock. */
import { createLoader, type Loader } from "../../data/loader.ts";
import type { ImageSet } from "../../data/types.ts";
import { type ConvClassifierConfig, convClassifier } from "../../nn/convClassifier.ts";
import { type ParameterSpec, Scope, type Weights } from "../../nn/scope.ts";
import { trainingGraph } from "../../regimen/objective.ts";
import type { Json, TrainingTask } from "../../regimen/trainer.ts";
import { type Graph, trace } from "../../runtime/trace.ts";
import { floats, ints, type Value } from "../../runtime/values.ts";
import { add, equal } from "../../tensor/ops/elementwise.ts";
import { argmaxLast } from "../../tensor/ops/gather.ts";
import { crossEntropy, mean } from "../../tensor/ops/neural.ts";
import { cast, reshape, slice } from "../../tensor/ops/structure.ts";
import { float32, int32, type Tensor } from "../../tensor/tensor.ts";
import { type ClassifierRecipe, type Questions, questionsOf } from "./recipes.ts";

/** Answers of a batch, [B, heads], as the graph takes them. */
function answersOf(questions: Questions, indices: ArrayLike<number>, labels: ArrayLike<number>): Value {
  const width = questions.heads.length;
  const data = new Int32Array(labels.length * width);
  for (let i = 0; i < labels.length; i++)
    data.set(questions.answers(indices[i] as number, labels[i] as number), i * width); // same length
  return ints(data, [labels.length, width]);
}

/** Loss summed over heads, and the share of right answers per head [heads]. */
function lossOf(logits: readonly Tensor[], answers: Tensor): { loss: Tensor; correct: readonly Tensor[] } {
  const parts = logits.map((rows, i) => {
    const wanted = reshape(slice(answers, 1, i, i + 1), [-1]); // (B)
    return {
      loss: mean(crossEntropy(rows, wanted)),
      correct: mean(cast(equal(argmaxLast(rows), wanted), "float32")),
    };
  });
  const loss = parts.map((part) => part.loss).reduce((a, b) => add(a, b));
  return { loss, correct: parts.map((part) => part.correct) };
}

/** A classifier in training on one split. */
export class ClassifierTask implements TrainingTask {
  readonly graph: Graph;
  readonly parameters: ReadonlyMap<string, ParameterSpec>;
  readonly frozen: Weights = new Map();
  readonly #loader: Loader;
  readonly #questions: Questions;
  readonly #size: number;

  constructor(config: ConvClassifierConfig, set: ImageSet, recipe: ClassifierRecipe) {
    const scope = Scope.root();
    const { imageSize, heads } = config;
    this.graph = trainingGraph(
      { images: float32("B", 3, imageSize, imageSize), answers: int32("B", heads.length) },
      scope,
      ({ images, answers }) => {
        const { logits } = convClassifier(scope, images as Tensor, config);
        const { loss, correct } = lossOf(logits, answers as Tensor); // both declared above
        return {
          loss,
          metrics: Object.fromEntries(heads.map(({ name }, i) => [name, correct[i] as Tensor])),
        };
      },
    );
    this.parameters = scope.specs;
    this.#questions = questionsOf(set);
    this.#size = set.size;
    const { batchSize, seed, augment } = recipe;
    this.#loader = createLoader(set, { batchSize: Math.min(batchSize, set.length), seed, augment });
  }

  async nextBatch() {
    const { images, labels, indices } = this.#loader.next();
    return {
      images: floats(images, [labels.length, 3, this.#size, this.#size]),
      answers: answersOf(this.#questions, indices, labels),
    };
  }

  saveState(): Json {
    return { loader: this.#loader.state };
  }

  restoreState(state: Json): void {
    this.#loader.restore((state as { loader: unknown }).loader); // checked by the loader
  }
}

/** pictures [B, 3, n, n] in [-1, 1], answers -> right answers per head, as a rate over the batch. */
export function accuracyGraph(config: ConvClassifierConfig): Graph {
  const { imageSize, heads } = config;
  return trace(
    { images: float32("B", 3, imageSize, imageSize), answers: int32("B", heads.length) },
    ({ images, answers }) => {
      const { correct } = lossOf(convClassifier(Scope.root(), images, config).logits, answers);
      return Object.fromEntries(heads.map(({ name }, i) => [name, correct[i] as Tensor])); // one per head
    },
  );
}

/** Batches of a whole split in its own order, with answers. */
export function* heldOutBatches(
  set: ImageSet,
  limit: number,
): Generator<Record<"images" | "answers", Value>> {
  const count = Math.min(limit, set.length);
  const questions = questionsOf(set);
  const loader = createLoader(set, {
    batchSize: Math.min(100, count),
    seed: 0,
    shuffle: false,
    dropLast: false,
  });
  for (let done = 0; done < count; ) {
    const { images, labels, indices } = loader.next();
    const n = Math.min(labels.length, count - done);
    const values = n * 3 * set.size * set.size;
    yield {
      images: floats(images.subarray(0, values), [n, 3, set.size, set.size]),
      answers: answersOf(questions, indices.subarray(0, n), labels.subarray(0, n)),
    };
    done += n;
  }
}
