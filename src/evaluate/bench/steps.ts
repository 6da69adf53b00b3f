/**
 * The training steps that the engine is measured by, each with its PyTorch twin in bench/: the transformer of
 * bench/reference_step.py (6 layers, width 256, 16 x 130 tokens) and the autoencoder of bench/reference_conv.py.
 * Shape letters: B batch, L tokens, C width, V codes, H heads, D head width.
 */
import { decoder, encoder, varLayout } from "../../nn/convAutoencoder.ts";
import { attend, linear } from "../../nn/layers.ts";
import { filled, normal, Scope, zeros } from "../../nn/scope.ts";
import { trainingGraph } from "../../regimen/objective.ts";
import type { TrainingTask } from "../../regimen/trainer.ts";
import { floats, ints } from "../../runtime/values.ts";
import { add, mul, square, sub } from "../../tensor/ops/elementwise.ts";
import { gatherRows } from "../../tensor/ops/gather.ts";
import { crossEntropy, gelu, layerNorm, mean } from "../../tensor/ops/neural.ts";
import { reshape, slice, transpose } from "../../tensor/ops/structure.ts";
import { RandomStream } from "../../tensor/random.ts";
import { constant, float32, int32, type Tensor } from "../../tensor/tensor.ts";

const size = { batch: 16, length: 130, width: 256, heads: 4, depth: 6, vocab: 512 };

function norm(scope: Scope, x: Tensor): Tensor {
  const { width } = size;
  const scaled = mul(layerNorm(x, 1e-5), scope.param("weight", [width], filled(1)));
  return add(scaled, scope.param("bias", [width], zeros));
}

function block(scope: Scope, x: Tensor, mask: Tensor): Tensor {
  const { batch, length, width, heads } = size;
  const none = { bias: null };
  const qkv = linear(scope.in("qkv"), norm(scope.in("norm1"), x), 3 * width, none);
  const parts = transpose(reshape(qkv, [batch, length, 3, heads, width / heads]), [2, 0, 3, 1, 4]); // (3, B, H, L, D)
  const [q, k, v] = [0, 1, 2].map((i) =>
    reshape(slice(parts, 0, i, i + 1), [batch, heads, length, width / heads]),
  ) as [Tensor, Tensor, Tensor]; // three parts
  const mixed = transpose(attend(q, k, v, 1 / Math.sqrt(width / heads), mask), [0, 2, 1, 3]); // (B, L, H, D)
  const h = add(x, linear(scope.in("out"), reshape(mixed, [batch, length, width]), width, none));
  const inner = gelu(linear(scope.in("fc1"), norm(scope.in("norm2"), h), 4 * width, none), "none");
  return add(h, linear(scope.in("fc2"), inner, width, none));
}

/** A task over constant batches: measuring needs no data. */
function fixedTask(
  graph: TrainingTask["graph"],
  scope: Scope,
  batch: Awaited<ReturnType<TrainingTask["nextBatch"]>>,
): TrainingTask {
  return {
    graph,
    parameters: scope.specs,
    frozen: new Map(),
    nextBatch: async () => batch,
    saveState: () => null,
    restoreState: () => undefined,
  };
}

/** 5.02 M parameters, causal, mean cross-entropy. */
export function transformerStep(): TrainingTask {
  const { batch, length, width, depth, vocab } = size;
  const scope = Scope.root();
  const hidden = Float32Array.from({ length: length * length }, (_, i) =>
    i % length > Math.floor(i / length) ? -1e9 : 0,
  );
  const graph = trainingGraph(
    { ids: int32(batch, length), targets: int32(batch, length) },
    scope,
    ({ ids, targets }) => {
      const table = scope.in("tokens").param("weight", [vocab, width], normal(1));
      const positions = scope.param("positions", [length, width], normal(0.02));
      let x = add(gatherRows(table, ids as Tensor), positions); // declared above
      const mask = constant(hidden, [length, length]);
      for (let i = 0; i < depth; i++) x = block(scope.in("blocks", i), x, mask);
      const logits = linear(scope.in("head"), norm(scope.in("norm"), x), vocab, { bias: null });
      return { loss: mean(crossEntropy(logits, targets as Tensor)), metrics: {} };
    },
  );
  const stream = RandomStream.from(0, "bench");
  const draw = () =>
    ints(
      Int32Array.from({ length: batch * length }, () => stream.integer(vocab)),
      [batch, length],
    );
  return fixedTask(graph, scope, { ids: draw(), targets: draw() });
}

const autoencoder = {
  ch: 32,
  chMult: [1, 2],
  numResBlocks: 1,
  inChannels: 3,
  zChannels: 16,
  numGroups: 8,
  patchSize: 1,
};

/** Encoder and decoder at 32 px, batch 16, mean squared error. */
export function convStep(): TrainingTask {
  const scope = Scope.root();
  const [batch, side] = [16, 32];
  const graph = trainingGraph({ images: float32(batch, 3, side, side) }, scope, ({ images }) => {
    const x = images as Tensor; // declared above
    const latents = encoder(scope.in("encoder"), x, autoencoder, varLayout("down"));
    const output = decoder(scope.in("decoder"), latents, autoencoder, varLayout("up"));
    return { loss: mean(square(sub(output, x))), metrics: {} };
  });
  const images = RandomStream.from(0, "bench").normals(batch * 3 * side * side, 0.5);
  return fixedTask(graph, scope, { images: floats(images, [batch, 3, side, side]) });
}
